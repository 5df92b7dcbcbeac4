// The set of this library's own descriptors. A process that the user's program forks closes them
// (close), so that it neither keeps pools alive nor disturbs them. Lock-free, fixed in size, and
// safe in a forked child of a process with many threads. Any thread.
#pragma once

#include <span>
#include <utility>

#include "base/component_export.hpp"
#include "os/memfd.hpp"
#include "os/unique_fd.hpp"

namespace procpool::os {

PROCPOOL_COMPONENT_EXPORT void add_private_fd(int fd) noexcept;
PROCPOOL_COMPONENT_EXPORT void remove_private_fd(int fd) noexcept;

// Closes all descriptors of the set but `keep`, and removes them. In a child, right after fork.
void close_private_fds(std::span<const int> keep) noexcept;

// A unique_fd that is in the set for as long as it exists. A program may close descriptors that it
// has not opened, and then open another file with the same number: that file is never closed here.
class private_fd {
 public:
  private_fd() noexcept = default;
  explicit private_fd(unique_fd fd) noexcept : fd_(std::move(fd)) {
    if (fd_) id_ = identify_fd(fd_.get());
    add_private_fd(fd_.get());
  }
  private_fd(private_fd&&) noexcept = default;
  private_fd& operator=(private_fd&& other) noexcept {
    reset();
    fd_ = std::move(other.fd_);
    id_ = other.id_;
    return *this;
  }
  ~private_fd() { reset(); }

  int get() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
  // False once the number belongs to another file, or to none. Before Linux 6.9 event descriptors,
  // epoll sets and pidfds cannot be told from each other.
  bool is_ours() const noexcept { return fd_ && identify_fd(fd_.get()) == id_; }
  void reset() noexcept {
    if (!fd_) return;
    remove_private_fd(fd_.get());
    if (!is_ours()) static_cast<void>(fd_.release());
    fd_.reset();
  }
  // Removes the descriptor from the set and returns it.
  [[nodiscard]] unique_fd release() noexcept {
    if (fd_) remove_private_fd(fd_.get());
    return std::move(fd_);
  }

 private:
  unique_fd fd_;
  fd_identity id_;
};

}  // namespace procpool::os
