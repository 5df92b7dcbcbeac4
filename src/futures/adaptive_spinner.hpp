// A thread that waits for a result spins for some microseconds before it sleeps, if spinning has
// paid lately. One spinner per thread.
#pragma once

#include <cstdint>

#include "base/cycle_clock.hpp"
#include "base/spin_backoff.hpp"

namespace procpool::futures {

class adaptive_spinner {
 public:
  static adaptive_spinner& of_this_thread();
  // Calls `check` until it returns true or the time for spinning is over, which is short when
  // workers use all CPUs. Each check takes a cache line from its writer: when many results are
  // under way, sparse checks are cheaper.
  template <class Check>
  bool spin(Check check, bool cpus_saturated, bool sparse = false) {
    if (!begin(cpus_saturated)) return false;
    const std::uint64_t gap = sparse ? sparse_check_ns * base::cycles_per_us() / 1000 : 0;
    bool found = false;
    std::uint64_t now = base::cycles();
    do {
      const std::uint64_t next = now + gap;
      do {
        base::relax();
        now = base::cycles();
      } while (now < next);
      found = check();
    } while (!found && now < limit_);
    end(found);
    return found;
  }

 private:
  bool begin(bool cpus_saturated);
  void end(bool found);
  static constexpr std::uint64_t sparse_check_ns = 600;
  std::uint64_t limit_ = 0;
  base::spin_backoff backoff_;
};

}  // namespace procpool::futures
