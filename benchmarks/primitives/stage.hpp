// The shared memory in which the parties of one run meet and report.
#pragma once

#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "primitives/primitives.hpp"

namespace bench {

inline constexpr std::size_t most_samples = 1U << 14U;  // of a party

// The task of a party.
struct plan {
  int parties = 1;
  int n = 0;                 // operations of all parties together
  int stride = 0;            // every stride-th operation is timed; 0: none
  std::uint64_t bytes = 0;   // of an item
  std::uint64_t rounds = 0;  // to compute between two operations
};

struct alignas(64) part {
  std::atomic<std::uint64_t> count;  // operations so far
  std::uint64_t check = 0;           // checksum of the party's results
  double begin = 0, end = 0;
  std::size_t samples = 0;
};

struct stage {
  std::atomic<int> arrived;
  alignas(64) std::atomic<int> turn;
  alignas(64) std::uint64_t counter = 0;  // for the party with the lock, or the turn
  part parts[most_parties] = {};
  float each[most_parties][most_samples] = {};  // seconds
};

// The same in all processes.
inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A party, from the moment when all have arrived until it is done.
class presence {
 public:
  presence(stage& s, const plan& p, int party)
      : mine_(s.parts[party]), each_(s.each[party]), stride_(p.stride) {
    s.arrived.fetch_add(1);
    while (s.arrived.load() != p.parties) ::sched_yield();
    mine_.begin = seconds_now();
  }
  ~presence() { mine_.end = seconds_now(); }
  presence(const presence&) = delete;
  presence& operator=(const presence&) = delete;

  // Runs the i-th operation, and times it if the plan says so.
  template <class Operation>
  void time(std::uint64_t i, Operation operation) {
    if (stride_ == 0 || i % static_cast<std::uint64_t>(stride_) != 0 ||
        mine_.samples == most_samples) {
      operation();
      return;
    }
    const double begin = seconds_now();
    operation();
    each_[mine_.samples++] = static_cast<float>(seconds_now() - begin);
  }

 private:
  part& mine_;
  float* each_;
  int stride_;
};

}  // namespace bench
