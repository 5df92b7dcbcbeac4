// An event descriptor: one thread signals, another waits for it in poll(). noexcept but for make.
#pragma once

#include <atomic>

#include "base/component_export.hpp"
#include "os/private_fds.hpp"

namespace procpool::os {

PROCPOOL_COMPONENT_EXPORT private_fd make_event_fd();  // throws std::system_error
PROCPOOL_COMPONENT_EXPORT void signal_event_fd(int fd) noexcept;
PROCPOOL_COMPONENT_EXPORT void clear_event_fd(int fd) noexcept;

// The same by a pair of sockets, each of which has an identity of its own: where the program has
// closed them, nothing is read from or written to the files that have their numbers now.
class wake_socket {
 public:
  wake_socket();  // throws std::system_error

  int fd() const noexcept { return reader_.get(); }  // readable once it is signalled
  bool is_ours() const noexcept { return reader_.is_ours() && writer_.is_ours(); }
  void signal() noexcept;  // any thread
  void clear() noexcept;   // by the thread that waits, before it looks at what has changed

 private:
  private_fd reader_, writer_;
  std::atomic<bool> signalled_{false};
};

}  // namespace procpool::os
