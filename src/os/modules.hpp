// The executable and the shared libraries that this process has loaded: wraps dl_iterate_phdr,
// dlopen and stat. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace procpool::os {

struct module_info {
  std::uintptr_t begin = 0;  // the addresses from its first to its last segment
  std::uintptr_t end = 0;
  bool is_executable = false;
  std::string path;                 // absolute where the file still has a name
  std::vector<std::byte> build_id;  // empty when the module has none
};

std::optional<module_info> module_of(const void* address);
std::vector<module_info> loaded_modules();

// Grows when a library is unloaded, after which its addresses may belong to another one. Cheap.
std::uint64_t unload_count() noexcept;

// Tells two builds apart that have no build id.
struct file_identity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  friend bool operator==(const file_identity&, const file_identity&) = default;
};
// The identity of the module's file; all zero if it cannot be found.
file_identity identify(const module_info& module);

// Whether this process has loaded the library with that file.
bool is_loaded(const char* path) noexcept;

// Loads a shared library, which stays loaded. Returns nullopt, or the reason for the failure.
std::optional<std::string> load_library(const std::string& path);

}  // namespace procpool::os
