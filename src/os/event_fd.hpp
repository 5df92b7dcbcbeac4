// An event descriptor: one thread signals, another waits for it in poll(). Wraps eventfd, or a pair
// of sockets. noexcept, except for what makes them.
#pragma once

#include <atomic>

#include "base/component_export.hpp"
#include "os/private_fds.hpp"

namespace procpool::os {

PROCPOOL_COMPONENT_EXPORT private_fd make_event_fd();  // throws std::system_error
PROCPOOL_COMPONENT_EXPORT void signal_event_fd(int fd) noexcept;
PROCPOOL_COMPONENT_EXPORT void clear_event_fd(int fd) noexcept;

// The same by a pair of sockets. Unlike event descriptors, sockets can be told apart (fstat), so
// that after the program has closed them by mistake, nothing is read from or written to the files
// that have their numbers then.
class wake_socket {
 public:
  wake_socket();  // throws std::system_error

  int fd() const noexcept { return reader_.get(); }  // readable once it is signalled
  bool is_ours() const noexcept { return reader_.is_ours() && writer_.is_ours(); }
  void signal() noexcept;  // any thread
  void clear() noexcept;   // by the waiting thread, before it checks what has changed

 private:
  private_fd reader_, writer_;
  std::atomic<bool> signalled_{false};
};

}  // namespace procpool::os
