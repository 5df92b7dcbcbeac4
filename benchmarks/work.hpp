// What tasks do: the same code for every contender.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "compute.hpp"
#include "contender.hpp"

namespace bench {

// A result that is not what the task must have returned is no measurement.
inline void expect(bool right) {
  if (!right) std::abort();
}

inline int next_of(int x) { return x + 1; }

// The sum of next_of() of 0 to n - 1.
inline std::int64_t sum_of_next(int n) { return std::int64_t{n} * (n + 1) / 2; }

// The thread, or the process, that runs it, and how often it has done so.
inline ran tell_who() {
  static thread_local std::uint64_t count = 0;
  return {static_cast<std::uint64_t>(::gettid()), ++count};
}

// All of it is read.
inline std::uint64_t sum_of(std::string_view value) {
  std::uint64_t sum = 0, word = 0;
  std::size_t i = 0;
  for (; i + sizeof(word) <= value.size(); i += sizeof(word)) {
    std::memcpy(&word, value.data() + i, sizeof(word));
    sum += word;
  }
  for (; i < value.size(); ++i) sum += static_cast<unsigned char>(value[i]);
  return sum;
}

// A value that exists already: what is measured is the way that it takes.
inline const std::vector<char>& value_of(std::size_t bytes) {
  static std::vector<char> value;
  if (value.size() != bytes) value.assign(bytes, 'x');
  return value;
}

// Rounds of compute() that take so long on this machine, when nothing disturbs it.
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
