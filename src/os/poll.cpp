#include "os/poll.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "os/clock.hpp"
#include "os/error.hpp"

namespace procpool::os {

static_assert(static_cast<short>(poll_for::input) == POLLIN &&
              static_cast<short>(poll_for::output) == POLLOUT);

namespace {

constexpr std::chrono::milliseconds refused_pause{10};

// As poll() with one descriptor and without a wait, and without the limit of poll().
int select_one(pollfd& item) noexcept {
  constexpr std::size_t bits = 8 * sizeof(unsigned long), words = 64;
  item.revents = 0;
  const auto fd = static_cast<std::size_t>(item.fd);
  if (item.fd < 0 || fd >= words * bits) return 0;
  unsigned long in[words] = {}, out[words] = {};
  const unsigned long bit = 1UL << (fd % bits);
  in[fd / bits] = bit;
  if ((item.events & POLLOUT) != 0) out[fd / bits] = bit;
  timespec none{};
  const long ready = ::syscall(SYS_pselect6, item.fd + 1, in, out, nullptr, &none, nullptr);
  if (ready < 0 && errno == EBADF) item.revents = POLLNVAL;
  if (ready > 0 && in[fd / bits] != 0) {
    int bytes = 0;
    if ((item.events & POLLIN) != 0) item.revents = POLLIN;
    // Readable, and nothing to read: that is the end.
    if (::ioctl(item.fd, FIONREAD, &bytes) == 0 && bytes == 0) item.revents |= POLLHUP;
  }
  if (ready > 0 && out[fd / bits] != 0) item.revents |= POLLOUT;
  return item.revents != 0 ? 1 : 0;
}

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

  // poll() refuses to look at more descriptors than RLIMIT_NOFILE lets a process open, even if they
  // are open.
  int look_at_each() noexcept {
    int ready = 0;
    for (nfds_t i = 0; i < count(); ++i) ready += select_one(fds_[i]);
    return ready;
  }

  void report(int ready) noexcept {
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const short seen = ready > 0 ? fds_[i].revents : short{0};
      items_[i].readable = (seen & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) != 0;
      items_[i].writable = (seen & POLLOUT) != 0;
      items_[i].hung_up = (seen & (POLLHUP | POLLERR | POLLNVAL)) != 0;
      items_[i].invalid = (seen & POLLNVAL) != 0;
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
    if (ready >= 0) break;
    if (errno != EINTR) {
      ready = set.look_at_each();
      if (ready > 0 || max.count() == 0) break;
      const bool last = !forever && max <= refused_pause;
      ::poll(nullptr, 0, static_cast<int>((last ? max : refused_pause).count()));
    }
    if (!forever) max = std::chrono::ceil<std::chrono::milliseconds>(time_left(deadline));
  }
  set.report(ready);
  return std::max(ready, 0);
}

void poll_until_signal(std::span<poll_item> items, const void* mask,
                       std::chrono::milliseconds max) noexcept {
  poll_set set(items);
  timespec limit{};
  limit.tv_sec = static_cast<time_t>(max.count() / 1000);
  limit.tv_nsec = static_cast<long>(max.count() % 1000) * 1'000'000;
  const timespec* const end = max.count() < 0 ? nullptr : &limit;
  const auto* const signals = static_cast<const sigset_t*>(mask);
  int ready = ::ppoll(set.fds(), set.count(), end, signals);
  if (ready < 0 && errno != EINTR) {
    ready = set.look_at_each();
    limit = {0, std::chrono::nanoseconds(refused_pause).count()};
    if (ready == 0) ::ppoll(nullptr, 0, &limit, signals);
  }
  set.report(ready);
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
