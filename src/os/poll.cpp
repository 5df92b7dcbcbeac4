#include "os/poll.hpp"

#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

#include "os/clock.hpp"
#include "os/error.hpp"

namespace procpool::os {

static_assert(static_cast<short>(poll_for::input) == POLLIN &&
              static_cast<short>(poll_for::output) == POLLOUT);

int poll_items(std::span<poll_item> items, std::chrono::milliseconds max) noexcept {
  pollfd fds[max_poll_items];
  const std::size_t count = std::min(items.size(), max_poll_items);
  for (std::size_t i = 0; i < count; ++i) {
    fds[i] = {items[i].fd, static_cast<short>(items[i].wanted), 0};
  }
  const bool forever = max.count() < 0;
  const auto deadline = std::chrono::steady_clock::now() + max;
  int ready = 0;
  for (;;) {
    ready = ::poll(fds, count, forever ? -1 : static_cast<int>(max.count()));
    if (ready >= 0 || errno != EINTR) break;
    if (!forever) max = std::chrono::ceil<std::chrono::milliseconds>(time_left(deadline));
  }
  for (std::size_t i = 0; i < count; ++i) {
    const short seen = ready > 0 ? fds[i].revents : short{0};
    items[i].readable = (seen & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) != 0;
    items[i].writable = (seen & POLLOUT) != 0;
    items[i].hung_up = (seen & (POLLHUP | POLLERR | POLLNVAL)) != 0;
  }
  return std::max(ready, 0);
}

poll_item poll_one(int fd, poll_for wanted, std::chrono::milliseconds max) noexcept {
  poll_item item{fd, wanted};
  poll_items({&item, 1}, max);
  return item;
}

event_set::event_set() : epoll_(above_stdio(unique_fd(::epoll_create1(EPOLL_CLOEXEC)))) {
  if (!epoll_) throw_errno("cannot create an epoll set");
}

int event_set::add(int fd) noexcept {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

void event_set::remove(int fd) noexcept { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

}  // namespace procpool::os
