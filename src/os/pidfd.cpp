#include "os/pidfd.hpp"

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

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

std::optional<int> pidfd_wait_status(int pidfd) noexcept {
  siginfo_t info{};
  constexpr auto by_pidfd = static_cast<idtype_t>(3);  // P_PIDFD
  if (::waitid(by_pidfd, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG | __WALL) == 0 &&
      info.si_pid != 0) {
    return info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
  }
  // struct pidfd_info of <linux/pidfd.h>, which many systems do not have yet.
  struct {
    std::uint64_t mask;
    std::uint64_t cgroup;
    std::uint32_t ids[11];
    std::int32_t exit_status;
  } answer{};
  static_assert(sizeof(answer) == 64);
  constexpr std::uint64_t wants_exit = 1U << 3U;
  answer.mask = wants_exit;
  const unsigned long get_info = _IOWR(0xFF, 11, answer);
  if (::ioctl(pidfd, get_info, &answer) != 0 || (answer.mask & wants_exit) == 0) return {};
  return answer.exit_status;
}

void pidfd_reap(int pidfd) noexcept {
  constexpr auto by_pidfd = static_cast<idtype_t>(3);  // P_PIDFD
  siginfo_t info{};
  while (::waitid(by_pidfd, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG | __WALL) != 0 &&
         errno == EINTR) {
  }
}

}  // namespace procpool::os
