#include "os/environment.hpp"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "os/program_start.hpp"

namespace procpool::os {

char* find_variable(std::string_view prefix) noexcept {
  for (char** at = ::environ; at != nullptr && *at != nullptr; ++at) {
    if (std::strncmp(*at, prefix.data(), prefix.size()) == 0) return *at + prefix.size();
  }
  return nullptr;
}

const char* take_variable(std::string_view prefix) noexcept {
  if (::environ == nullptr) return nullptr;
  for (char** at = ::environ; *at != nullptr; ++at) {
    if (std::strncmp(*at, prefix.data(), prefix.size()) != 0) continue;
    const char* value = *at + prefix.size();
    for (char** to = at; *to != nullptr; ++to) *to = to[1];
    return value;
  }
  return nullptr;
}

void restore_loader_variables(std::string_view prefix) noexcept {
  if (::environ == nullptr) return;
  char** to = ::environ;
  for (char** at = ::environ; *at != nullptr; ++at) {
    if (std::strncmp(*at, prefix.data(), prefix.size()) == 0) {
      *to++ = *at + prefix.size();
    } else if (!is_loader_variable(*at)) {
      *to++ = *at;
    }
  }
  *to = nullptr;
}

std::vector<std::string> environment() {
  std::vector<std::string> all;
  for (char** at = ::environ; at != nullptr && *at != nullptr; ++at) all.emplace_back(*at);
  return all;
}

bool has_proc() noexcept { return ::access("/proc/self/exe", F_OK) == 0 || errno != ENOENT; }

bool children_have_other_pid_namespace() noexcept {
  char own[64], of_children[64];
  const ssize_t size = ::readlink("/proc/self/ns/pid", own, sizeof own);
  if (size <= 0) return false;
  const ssize_t other =
      ::readlink("/proc/self/ns/pid_for_children", of_children, sizeof of_children);
  // There is no link until the namespace has a first process.
  if (other < 0) return errno == ENOENT;
  return other != size || std::memcmp(own, of_children, static_cast<std::size_t>(size)) != 0;
}

bool has_elevated_rights() noexcept { return ::getauxval(AT_SECURE) != 0; }

bool would_distrust_environment(const char* program) noexcept {
  // The kernel compares the effective ids after with the real ones before.
  if (::getuid() != ::geteuid() || ::getgid() != ::getegid()) return true;
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) return false;
  struct stat file{};
  if (::stat(program, &file) != 0) return false;
  if ((file.st_mode & S_ISUID) != 0 && file.st_uid != ::getuid()) return true;
  if ((file.st_mode & S_ISGID) != 0 && file.st_gid != ::getgid()) return true;
  // Root has them in any case.
  return ::getuid() != 0 && ::getxattr(program, "security.capability", nullptr, 0) > 0;
}

std::string first_argument() {
  std::ifstream file("/proc/self/cmdline");
  std::string argument;
  std::getline(file, argument, '\0');
  if (argument.empty() && ::program_invocation_name != nullptr) {
    argument = ::program_invocation_name;
  }
  return argument;
}

std::string program_file() {
  const char* link = "/proc/self/exe";
  if (::access(link, F_OK) != 0 && errno == ENOENT) {
    // No /proc. The kernel has also left the name by which the program was executed.
    const auto* name = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
    if (name != nullptr && ::access(name, X_OK) == 0) return name;
    return link;
  }
  char target[4096];
  // Tools answer readlink for the program, and stat for themselves.
  const ssize_t size = ::readlink(link, target, sizeof(target) - 1);
  if (size <= 0) return link;
  target[size] = '\0';
  struct stat running{};
  struct stat named{};
  if (::stat(link, &running) != 0 || ::stat(target, &named) != 0) return link;
  // "/a/program (deleted)" is no name, even if there is such a file.
  if (running.st_nlink == 0) return link;
  const bool same = running.st_dev == named.st_dev && running.st_ino == named.st_ino;
  return same ? link : target;
}

bool on_fork_in_child(void (*handler)()) noexcept {
  return ::pthread_atfork(nullptr, nullptr, handler) == 0;
}

std::string module_path(const void* address) {
  Dl_info info{};
  void* map = nullptr;
  if (::dladdr1(address, &info, &map, RTLD_DL_LINKMAP) == 0 || info.dli_fname == nullptr) return {};
  std::string name = info.dli_fname;
  // A relative name was relative to the directory that was the working one when it was loaded. A
  // link map of the loader is a handle, too.
  char folder[4096];
  if (!name.starts_with('/') && name.find('/') != std::string::npos && map != nullptr &&
      ::dlinfo(map, RTLD_DI_ORIGIN, folder) == 0) {
    name = folder + name.substr(name.rfind('/'));
  }
  char* full = ::realpath(name.c_str(), nullptr);
  if (full != nullptr) name = full;
  std::free(full);
  return name;
}

bool exports(const std::string& module, const char* symbol) {
  void* handle = ::dlopen(module.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  if (handle == nullptr) return false;
  const void* found = ::dlsym(handle, symbol);  // looks in what the module needs, too
  const bool result = found != nullptr && module_path(found) == module;
  ::dlclose(handle);
  return result;
}

void* next_symbol(const char* symbol) noexcept { return ::dlsym(RTLD_NEXT, symbol); }

}  // namespace procpool::os
