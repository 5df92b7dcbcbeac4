// Owner of a file descriptor: wraps close and fcntl(F_DUPFD_CLOEXEC). Like std::unique_ptr it may
// be moved between threads, but one object is used by one thread at a time. Never throws, never
// allocates: the fork server uses it, too.
#pragma once

#include <utility>

#include "base/component_export.hpp"

namespace procpool::os {

// close() without a retry: on Linux the descriptor is closed even when close() reports EINTR. Keeps
// errno, so that it may be called between a failed call and its error message.
PROCPOOL_COMPONENT_EXPORT void close_fd(int fd) noexcept;

class unique_fd {
 public:
  unique_fd() noexcept = default;
  explicit unique_fd(int fd) noexcept : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~unique_fd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept {
    if (int old = std::exchange(fd_, fd); old >= 0) close_fd(old);
  }

 private:
  int fd_ = -1;
};

// Moves a descriptor to 3 or above. A program may run with 0, 1 or 2 closed, and its output would
// otherwise go into sockets and regions of this library. Empty with errno set on failure.
PROCPOOL_COMPONENT_EXPORT unique_fd above_stdio(unique_fd fd) noexcept;

// A copy of `fd`: close-on-exec, 3 or above. Empty with errno set on failure.
unique_fd duplicate_fd(int fd) noexcept;

// The number of entries of /proc/self/fd, for leak checks; -1 without /proc.
int open_fd_count() noexcept;

}  // namespace procpool::os
