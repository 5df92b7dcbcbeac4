#include "os/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

namespace procpool::os {
namespace {

static_assert(sizeof(std::atomic<std::uint32_t>) == 4 &&
              std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(sizeof(std::atomic<std::uint64_t>) == 8 &&
              std::atomic<std::uint64_t>::is_always_lock_free);

timespec to_timespec(std::chrono::nanoseconds time) noexcept {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  timespec result{};
  result.tv_sec = static_cast<time_t>(seconds.count());
  result.tv_nsec = static_cast<long>((time - seconds).count());
  return result;
}

futex_result wait(void* address, int operation, std::uint32_t expected,
                  std::chrono::nanoseconds time) noexcept {
  const timespec limit = to_timespec(time);
  if (::syscall(SYS_futex, address, operation, expected, &limit, nullptr, FUTEX_BITSET_MATCH_ANY) ==
      0) {
    return futex_result::woken;
  }
  switch (errno) {
    case EAGAIN:
      return futex_result::changed;
    case ETIMEDOUT:
      return futex_result::timed_out;
    case EINTR:
      return futex_result::interrupted;
    default:
      // The remaining errors are misuse (EFAULT, EINVAL): as a spurious wake they make the caller
      // look at the word itself, where the fault shows.
      return futex_result::woken;
  }
}

int wake(void* address, int n) noexcept {
  const long woken = ::syscall(SYS_futex, address, FUTEX_WAKE, n, nullptr, nullptr, 0);
  return woken < 0 ? 0 : static_cast<int>(woken);
}

void* low_half(std::atomic<std::uint64_t>& word) noexcept {
  auto* bytes = reinterpret_cast<unsigned char*>(&word);
  return std::endian::native == std::endian::little ? bytes : bytes + 4;
}

}  // namespace

futex_result futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                        std::chrono::nanoseconds max) noexcept {
  if (max <= std::chrono::nanoseconds::zero()) return futex_result::timed_out;
  return wait(&word, FUTEX_WAIT, expected, max);
}

futex_result futex_wait_until(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                              std::chrono::steady_clock::time_point deadline) noexcept {
  const auto time =
      std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch());
  if (time <= std::chrono::nanoseconds::zero()) return futex_result::timed_out;
  return wait(&word, FUTEX_WAIT_BITSET, expected, time);
}

futex_result futex_wait(std::atomic<std::uint64_t>& word, std::uint32_t expected_low,
                        std::chrono::nanoseconds max) noexcept {
  if (max <= std::chrono::nanoseconds::zero()) return futex_result::timed_out;
  return wait(low_half(word), FUTEX_WAIT, expected_low, max);
}

int futex_wake(std::atomic<std::uint32_t>& word, int n) noexcept { return wake(&word, n); }

int futex_wake(std::atomic<std::uint64_t>& word, int n) noexcept { return wake(low_half(word), n); }

}  // namespace procpool::os
