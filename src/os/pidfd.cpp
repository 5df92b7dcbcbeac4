#include "os/pidfd.hpp"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "os/poll.hpp"

// Old C libraries lack the names; the numbers are the same on all architectures.
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

namespace procpool::os {

unique_fd open_pidfd(pid_t pid) noexcept {
  // pidfd_open sets close-on-exec by itself.
  return above_stdio(unique_fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))));
}

int pidfd_signal(int pidfd, int signal) noexcept {
  return ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0 ? 0 : errno;
}

bool pidfd_dead(int pidfd, std::chrono::milliseconds max) noexcept {
  const poll_item seen = poll_one(pidfd, poll_for::input, max);
  // A program that closes all descriptors may have another file with that number by now. Signal 0
  // only asks.
  return seen.readable && !seen.invalid && pidfd_signal(pidfd, 0) != EBADF;
}

void pidfd_reap(int pidfd) noexcept {
  constexpr auto by_pidfd = static_cast<idtype_t>(3);  // P_PIDFD
  siginfo_t info{};
  while (::waitid(by_pidfd, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG | __WALL) != 0 &&
         errno == EINTR) {
  }
}

}  // namespace procpool::os
