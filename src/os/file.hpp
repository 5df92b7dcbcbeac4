// Files of the user, by path: wraps open, fstat and fchdir. Any thread.
#pragma once

#include <cstdint>

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
// All zero with errno set on failure.
file_status status_of(int fd) noexcept;

}  // namespace procpool::os
