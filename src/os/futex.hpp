// Waiting on a word of shared memory, across processes: wraps futex, never with FUTEX_PRIVATE_FLAG,
// which is why std::atomic::wait cannot be used. Any thread of any process; never throws, never
// allocates. A wake-up is lost if the process that it has woken dies, so every wait has an end,
// after which the caller checks the state again.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace procpool::os {

enum class futex_result {
  woken,        // a wake, or a spurious return
  changed,      // the word was not `expected` any more
  timed_out,    // the time is over
  interrupted,  // a signal handler ran
};

// Sleeps while `word` is `expected`, for `max` at most; does not sleep if `max` is not positive.
futex_result futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                        std::chrono::nanoseconds max) noexcept;
// The same until a point of CLOCK_MONOTONIC (std::chrono::steady_clock), which does not drift when
// the call is repeated after interruptions.
futex_result futex_wait_until(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                              std::chrono::steady_clock::time_point deadline) noexcept;

// The futex of a 64-bit word is its low half.
futex_result futex_wait(std::atomic<std::uint64_t>& word, std::uint32_t expected_low,
                        std::chrono::nanoseconds max) noexcept;

// Wakes at most n sleepers of the word; returns how many.
int futex_wake(std::atomic<std::uint32_t>& word, int n) noexcept;
int futex_wake(std::atomic<std::uint64_t>& word, int n) noexcept;

}  // namespace procpool::os
