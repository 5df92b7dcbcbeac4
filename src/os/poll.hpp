// Waiting for descriptors: wraps poll and ppoll, with a deadline that holds across interruptions,
// and epoll, for callers that give the user one descriptor to wait on. noexcept, no allocation,
// except for event_set's constructor.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>

#include "base/component_export.hpp"
#include "os/private_fds.hpp"

namespace procpool::os {

enum class poll_for : short {
  nothing = 0,
  input = 1,
  output = 4,
  both = 5
};  // nothing: hang-up only

struct poll_item {
  int fd = -1;  // negative: ignored
  poll_for wanted = poll_for::input;
  bool readable = false;  // input, or end of file, or an error: a read would not block
  bool writable = false;
  bool hung_up = false;  // the other side is closed
  bool invalid = false;  // there is no such descriptor; counts as readable and hung up, too
};

inline constexpr std::size_t max_poll_items = 8;

// Returns how many items are ready; 0 after `max`. Negative max: no limit. Neither a signal nor a
// poll() that the kernel refuses ends it early.
PROCPOOL_COMPONENT_EXPORT int poll_items(std::span<poll_item> items,
                                         std::chrono::milliseconds max) noexcept;
PROCPOOL_COMPONENT_EXPORT poll_item poll_one(int fd, poll_for wanted,
                                             std::chrono::milliseconds max) noexcept;

// Waits with `mask` (a sigset_t) as the signal mask; a signal that is not in the mask ends the
// wait. Negative max: no limit.
void poll_until_signal(std::span<poll_item> items, const void* mask,
                       std::chrono::milliseconds max = std::chrono::milliseconds(-1)) noexcept;

class event_set {
 public:
  event_set();  // throws std::system_error
  int fd() const noexcept { return epoll_.get(); }
  // False once the program has closed it.
  bool is_ours() const noexcept { return epoll_.is_ours(); }
  // 0 or an errno value. A descriptor leaves the set when it is closed everywhere, so remove() it
  // first where processes may have been forked.
  int add(int fd) noexcept;
  // As add(), but edge-triggered: clear() consumes its readiness.
  int add_once(int fd) noexcept;
  void clear() noexcept;
  void remove(int fd) noexcept;
  // Gives the descriptor up without closing it: the program has closed it, and its number may
  // belong to another file.
  void forget() noexcept { static_cast<void>(epoll_.release().release()); }

 private:
  private_fd epoll_;
};

}  // namespace procpool::os
