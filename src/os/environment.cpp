#include "os/environment.hpp"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

namespace procpool::os {

const char* find_variable(std::string_view prefix) noexcept {
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

void drop_first_preload() noexcept {
  char* value = std::getenv("LD_PRELOAD");
  if (value == nullptr) return;
  const char* rest = std::strpbrk(value, ": ");
  if (rest == nullptr) {
    take_variable("LD_PRELOAD=");
  } else {
    // With the zero that ends it: rest begins one before what moves.
    // NOLINTNEXTLINE(bugprone-not-null-terminated-result)
    std::memmove(value, rest + 1, std::strlen(rest));
  }
}

std::vector<std::string> environment() {
  std::vector<std::string> all;
  for (char** at = ::environ; at != nullptr && *at != nullptr; ++at) all.emplace_back(*at);
  return all;
}

bool has_elevated_rights() noexcept { return ::getauxval(AT_SECURE) != 0; }

std::string first_argument() {
  std::ifstream file("/proc/self/cmdline");
  std::string argument;
  std::getline(file, argument, '\0');
  return argument.empty() ? ::program_invocation_name : argument;
}

std::string program_file() {
  const char* link = "/proc/self/exe";
  char target[4096];
  // Tools answer readlink for the program, and stat for themselves.
  const ssize_t size = ::readlink(link, target, sizeof(target) - 1);
  if (size <= 0) return link;
  target[size] = '\0';
  struct stat running{};
  struct stat named{};
  if (::stat(link, &running) != 0 || ::stat(target, &named) != 0) return link;
  const bool same = running.st_dev == named.st_dev && running.st_ino == named.st_ino;
  return same ? link : target;
}

bool on_fork_in_child(void (*handler)()) noexcept {
  return ::pthread_atfork(nullptr, nullptr, handler) == 0;
}

std::string module_path(const void* address) {
  Dl_info info{};
  if (::dladdr(address, &info) == 0 || info.dli_fname == nullptr) return {};
  char* full = ::realpath(info.dli_fname, nullptr);
  std::string path = full != nullptr ? full : info.dli_fname;
  std::free(full);
  return path;
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
