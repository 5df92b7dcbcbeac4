// What tasks do: the same code for every contender.
#pragma once

#include <chrono>
#include <cstdint>

namespace bench {

inline int next_of(int x) { return x + 1; }

// Computes for so many rounds: no memory, no clock, nothing that the compiler could leave out.
inline std::uint64_t compute(std::uint64_t rounds) {
  std::uint64_t x = rounds | 1U;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    x ^= x << 13U;
    x ^= x >> 7U;
    x ^= x << 17U;
  }
  return x;
}

// Rounds of compute() that take so long on this machine, when nobody disturbs it.
inline std::uint64_t rounds_for(double seconds) {
  static const double per_second = [] {
    constexpr std::uint64_t probe = 2'000'000;
    double best = 1;
    for (int i = 0; i < 10; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      volatile std::uint64_t sink = compute(probe + static_cast<std::uint64_t>(i));
      static_cast<void>(sink);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      if (took.count() < best) best = took.count();
    }
    return static_cast<double>(probe) / best;
  }();
  return static_cast<std::uint64_t>(seconds * per_second) + 1;
}

class stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace bench
