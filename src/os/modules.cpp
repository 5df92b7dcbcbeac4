#include "os/modules.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "os/environment.hpp"

namespace procpool::os {
namespace {

std::vector<std::byte> find_build_id(const dl_phdr_info& info) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const auto& segment = info.dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* at = reinterpret_cast<const std::byte*>(info.dlpi_addr + segment.p_vaddr);
    const auto* end = at + segment.p_memsz;
    const std::size_t align = segment.p_align == 8 ? 8 : 4;
    const auto padded = [align](std::size_t n) { return (n + align - 1) / align * align; };
    while (end - at >= static_cast<std::ptrdiff_t>(sizeof(ElfW(Nhdr)))) {
      ElfW(Nhdr) note;
      std::memcpy(&note, at, sizeof(note));
      const std::byte* name = at + sizeof(note);
      const std::size_t size = padded(note.n_namesz) + padded(note.n_descsz);
      if (static_cast<std::size_t>(end - name) < size) break;
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
          std::memcmp(name, "GNU", 4) == 0) {
        const std::byte* id = name + padded(note.n_namesz);
        return {id, id + note.n_descsz};
      }
      at = name + size;
    }
  }
  return {};
}

std::string absolute(const char* path) {
  const std::unique_ptr<char, decltype(&std::free)> full(::realpath(path, nullptr), &std::free);
  return full ? full.get() : path;
}

struct search {
  const void* address = nullptr;  // null: all
  std::vector<module_info> found;
  bool first = true;
};

int visit(dl_phdr_info* info, std::size_t, void* argument) {
  auto& looking = *static_cast<search*>(argument);
  module_info module;
  module.begin = UINTPTR_MAX;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const std::uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
    module.begin = std::min(module.begin, begin);
    module.end = std::max(module.end, begin + segment.p_memsz);
  }
  // The loader lists the program first; a program that is its own loader has no name at all.
  const bool is_executable = std::exchange(looking.first, false);
  const auto address = reinterpret_cast<std::uintptr_t>(looking.address);
  if (module.end == 0 || (address != 0 && (address < module.begin || address >= module.end))) {
    return 0;
  }
  module.is_executable = is_executable;
  module.path = info->dlpi_name == nullptr ? "" : info->dlpi_name;
  module.build_id = find_build_id(*info);
  looking.found.push_back(std::move(module));
  return address != 0;
}

}  // namespace

std::vector<module_info> loaded_modules() {
  search all;
  ::dl_iterate_phdr(visit, &all);
  return std::move(all.found);
}

std::uint64_t unload_count() noexcept {
  std::uint64_t count = 0;
  const auto first_only = [](dl_phdr_info* info, std::size_t, void* result) {
    *static_cast<std::uint64_t*>(result) = info->dlpi_subs;
    return 1;
  };
  ::dl_iterate_phdr(first_only, &count);
  return count;
}

std::optional<module_info> module_of(const void* address) {
  search one;
  one.address = address;
  if (address != nullptr) ::dl_iterate_phdr(visit, &one);
  if (one.found.empty()) return std::nullopt;
  module_info module = std::move(one.found.front());
  module.path = module.is_executable ? absolute("/proc/self/exe") : module_path(address);
  return module;
}

file_identity identify(const module_info& module) {
  // The program's file can be reached although it has been renamed or removed.
  const char* path = module.is_executable ? "/proc/self/exe" : module.path.c_str();
  struct stat status{};
  if (::stat(path, &status) != 0) return {};
  return {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino),
          static_cast<std::uint64_t>(status.st_size),
          std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

bool is_loaded(const char* path) noexcept {
  void* const handle = ::dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
  if (handle != nullptr) ::dlclose(handle);
  return handle != nullptr;
}

std::optional<std::string> load_library(const std::string& path) {
  if (::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr) return std::nullopt;
  const char* reason = ::dlerror();
  return reason == nullptr ? "unknown reason" : reason;
}

}  // namespace procpool::os
