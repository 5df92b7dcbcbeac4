// Files by path: wraps open, fstat and fchdir, and reads small ones. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "os/unique_fd.hpp"

namespace procpool::os {

struct file_status {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  bool is_regular = false;
};

// Empty with errno set on failure. Does not wait for the other end of a pipe.
unique_fd open_file(const char* path, bool writable) noexcept;
// A descriptor of the working directory, and fchdir() to one. Empty, and false, with errno set on
// failure.
unique_fd open_working_folder() noexcept;
bool enter_folder(int fd) noexcept;
bool is_open(int fd) noexcept;
// The text of a small file, such as those of /proc; empty if it cannot be opened.
std::optional<std::string> read_whole_file(const std::string& path);
// All zero with errno set on failure.
file_status status_of(int fd) noexcept;

}  // namespace procpool::os
