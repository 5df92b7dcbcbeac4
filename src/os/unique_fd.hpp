// Owner of a file descriptor. Like std::unique_ptr it may be moved between threads, but one object
// is used by one thread at a time. Never throws, never allocates: also used in the fork server.
#pragma once

#include <utility>

#include "base/component_export.hpp"

namespace procpool::os {

// close(2) without a retry: on Linux the descriptor is gone even when close reports EINTR.
// Keeps errno, so that it may stand between a failed call and the report of it.
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

// Moves a descriptor to 3 or above. A program may run with 0, 1 or 2 closed; whatever it prints
// would then go into our sockets and regions. Empty with errno set when no descriptor is left.
PROCPOOL_COMPONENT_EXPORT unique_fd above_stdio(unique_fd fd) noexcept;

// A copy of `fd`: close-on-exec, 3 or above. Empty with errno set on failure.
unique_fd duplicate_fd(int fd) noexcept;

// What /proc/self/fd counts; for checks that nothing leaks. -1 without /proc.
int open_fd_count() noexcept;

}  // namespace procpool::os
