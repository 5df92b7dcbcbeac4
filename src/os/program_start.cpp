#include "os/program_start.hpp"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <utility>

#include "os/modules.hpp"

namespace procpool::os {
namespace {

constexpr std::size_t folder_size = 4096;

struct start_notes {
  bool taken = false;
  char folder[folder_size] = {};    // empty: not known
  const char* variables = nullptr;  // each ends with a zero, and an empty one ends all
  const char* command = nullptr;    // likewise, of a program that was started by way of the loader
  std::size_t command_size = 0;
};

constinit start_notes notes;

// For whole programs, once: never given back.
char* allocate(std::size_t size) noexcept {
  const long address = ::syscall(SYS_mmap, nullptr, size, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
  return address == -1 ? nullptr : reinterpret_cast<char*>(address);
}

constexpr std::string_view loader_prefixes[] = {"LD_", "GLIBC_TUNABLES="};

bool begins_with(const char* text, std::string_view prefix) noexcept {
  for (const char wanted : prefix) {
    if (*text++ != wanted) return false;
  }
  return true;
}

bool is_loader_text(const char* text) noexcept {
  return begins_with(text, loader_prefixes[0]) || begins_with(text, loader_prefixes[1]);
}

std::size_t length_of(const char* text) noexcept {
  std::size_t n = 0;
  while (text[n] != '\0') ++n;
  return n;
}

const char* copy_loader_variables() noexcept {
  std::size_t size = 0;
  for (char** at = ::environ; at != nullptr && *at != nullptr; ++at) {
    if (is_loader_text(*at)) size += length_of(*at) + 1;
  }
  if (size == 0) return nullptr;
  char* const copy = allocate(size + 1);
  if (copy == nullptr) return nullptr;
  char* to = copy;
  for (char** at = ::environ; *at != nullptr; ++at) {
    if (!is_loader_text(*at)) continue;
    for (const char* from = *at; *from != '\0'; ++from) *to++ = *from;
    *to++ = '\0';
  }
  return copy;
}

// A program that asks for a loader, in a process whose program is, for the kernel, its own.
bool runs_through_loader() noexcept {
  if (::getauxval(AT_BASE) != 0) return false;
  const auto* headers = reinterpret_cast<const ElfW(Phdr)*>(::getauxval(AT_PHDR));
  const std::size_t count = ::getauxval(AT_PHNUM);
  for (std::size_t i = 0; headers != nullptr && i < count; ++i) {
    if (headers[i].p_type == PT_INTERP) return true;
  }
  return false;
}

void note_command() noexcept {
  constexpr std::size_t most = std::size_t{256} << 10;
  char* const text = allocate(most);
  const long fd = ::syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC, 0);
  if (text == nullptr || fd < 0) return;
  long n = 0;
  while (notes.command_size < most &&
         (n = ::syscall(SYS_read, fd, text + notes.command_size, most - notes.command_size)) > 0) {
    notes.command_size += static_cast<std::size_t>(n);
  }
  ::syscall(SYS_close, fd);
  notes.command = text;
}

std::vector<std::string> read_list(const char* path) {
  std::ifstream file(path);
  std::vector<std::string> all;
  for (std::string entry; std::getline(file, entry, '\0');) all.push_back(std::move(entry));
  return all;
}

std::vector<std::string> first_command() {
  if (!notes.taken) return read_list("/proc/self/cmdline");
  std::vector<std::string> all;
  for (const char* at = notes.command; at != nullptr && at < notes.command + notes.command_size;
       at += all.back().size() + 1) {
    all.emplace_back(
        at, ::strnlen(at, notes.command_size - static_cast<std::size_t>(at - notes.command)));
  }
  return all;
}

bool found_by_relative_name() {
  const std::vector<module_info> modules = loaded_modules();
  return std::any_of(modules.begin(), modules.end(), [](const module_info& m) {
    // The kernel's own has a name, too, which is that of no file.
    return !m.path.empty() && !m.path.starts_with('/') && !m.path.starts_with("linux-");
  });
}

}  // namespace

void note_program_start() noexcept {
  if (notes.taken) return;
  notes.taken = true;
  const long length = ::syscall(SYS_getcwd, notes.folder, folder_size);
  if (length <= 0 || notes.folder[0] != '/') notes.folder[0] = '\0';  // too long, or out of reach
  notes.variables = copy_loader_variables();
  if (runs_through_loader()) note_command();
}

bool is_loader_variable(std::string_view entry) noexcept {
  return entry.starts_with(loader_prefixes[0]) || entry.starts_with(loader_prefixes[1]);
}

std::vector<std::string> initial_loader_variables() {
  std::vector<std::string> all;
  if (notes.taken) {
    for (const char* at = notes.variables; at != nullptr && *at != '\0';
         at += all.back().size() + 1) {
      all.emplace_back(at);
    }
    return all;
  }
  all = read_list("/proc/self/environ");
  std::erase_if(all, [](const std::string& entry) { return !is_loader_variable(entry); });
  return all;
}

std::string initial_folder_if_needed() {
  char now[folder_size];
  const long length = ::syscall(SYS_getcwd, now, sizeof now);
  if (notes.folder[0] == '\0' || (length > 0 && notes.folder == std::string_view(now))) return {};
  return found_by_relative_name() || !loader_command().empty() ? notes.folder : std::string();
}

std::vector<std::string> loader_command() {
  if (!runs_through_loader()) return {};
  static constexpr std::array<std::string_view, 7> with_value = {
      "--library-path",         "--preload",           "--audit",        "--argv0",
      "--glibc-hwcaps-prepend", "--glibc-hwcaps-mask", "--inhibit-rpath"};
  std::vector<std::string> all = first_command();
  std::size_t at = 1;
  while (at < all.size() && all[at].starts_with("--")) {
    at += std::find(with_value.begin(), with_value.end(), all[at]) != with_value.end() ? 2 : 1;
  }
  if (at >= all.size()) return {};  // overwritten since
  all.resize(at + 1);
  return all;
}

}  // namespace procpool::os
