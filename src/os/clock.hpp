// The clock of the whole library: wraps clock_gettime(CLOCK_MONOTONIC), which all processes of one
// machine share, so that a number of nanoseconds means the same in a parent and in its workers. Any
// thread.
#pragma once

#include <chrono>
#include <cstdint>

namespace procpool::os {

// libstdc++ and libc++ build steady_clock on CLOCK_MONOTONIC.
inline std::int64_t monotonic_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// What is left until `deadline`, never negative.
inline std::chrono::nanoseconds time_left(std::chrono::steady_clock::time_point deadline) noexcept {
  const auto left = deadline - std::chrono::steady_clock::now();
  return left.count() > 0 ? std::chrono::duration_cast<std::chrono::nanoseconds>(left)
                          : std::chrono::nanoseconds::zero();
}

}  // namespace procpool::os
