#include "os/poll.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "os/clock.hpp"
#include "os/error.hpp"

namespace procpool::os {

static_assert(static_cast<short>(poll_for::input) == POLLIN &&
              static_cast<short>(poll_for::output) == POLLOUT);

namespace {

class poll_set {
 public:
  explicit poll_set(std::span<poll_item> items) noexcept
      : items_(items.first(std::min(items.size(), max_poll_items))) {
    for (std::size_t i = 0; i < items_.size(); ++i) {
      fds_[i] = {items_[i].fd, static_cast<short>(items_[i].wanted), 0};
    }
  }
  pollfd* fds() noexcept { return fds_; }
  nfds_t count() const noexcept { return items_.size(); }

  void report(int ready) noexcept {
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const short seen = ready > 0 ? fds_[i].revents : short{0};
      items_[i].readable = (seen & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) != 0;
      items_[i].writable = (seen & POLLOUT) != 0;
      items_[i].hung_up = (seen & (POLLHUP | POLLERR | POLLNVAL)) != 0;
    }
  }

 private:
  std::span<poll_item> items_;
  pollfd fds_[max_poll_items];
};

}  // namespace

int poll_items(std::span<poll_item> items, std::chrono::milliseconds max) noexcept {
  poll_set set(items);
  const bool forever = max.count() < 0;
  const auto deadline = std::chrono::steady_clock::now() + max;
  int ready = 0;
  for (;;) {
    ready = ::poll(set.fds(), set.count(), forever ? -1 : static_cast<int>(max.count()));
    if (ready >= 0 || errno != EINTR) break;
    if (!forever) max = std::chrono::ceil<std::chrono::milliseconds>(time_left(deadline));
  }
  set.report(ready);
  return std::max(ready, 0);
}

void poll_until_signal(std::span<poll_item> items, const void* mask) noexcept {
  poll_set set(items);
  set.report(::ppoll(set.fds(), set.count(), nullptr, static_cast<const sigset_t*>(mask)));
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

int event_set::add_once(int fd) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.fd = fd;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

void event_set::clear() noexcept {
  epoll_event seen[64];
  while (::epoll_wait(epoll_.get(), seen, std::size(seen), 0) == std::size(seen)) {
  }
}

void event_set::remove(int fd) noexcept { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

}  // namespace procpool::os
