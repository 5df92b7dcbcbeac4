#include "futures/adaptive_spinner.hpp"

#include <exception>

#include "os/cpu_count.hpp"

namespace procpool::futures {
namespace {

// About the cost of sleeping and being woken.
constexpr std::uint64_t spin_us = 50, short_spin_us = 10;

// Allocates nothing, since a wait needs no memory.
bool several_cpus() noexcept {
  try {
    return os::cpu_count() > 1;
  } catch (const std::exception&) {
    return true;
  }
}

}  // namespace

adaptive_spinner& adaptive_spinner::of_this_thread() {
  thread_local adaptive_spinner spinner;
  return spinner;
}

bool adaptive_spinner::begin(bool cpus_saturated) {
  // With one CPU the worker cannot run while this thread spins.
  static const bool pays = several_cpus();
  if (!pays || !backoff_.may_spin()) return false;
  limit_ = base::cycles() + (cpus_saturated ? short_spin_us : spin_us) * base::cycles_per_us();
  return true;
}

void adaptive_spinner::end(bool found) {
  if (found) {
    backoff_.found();
  } else {
    backoff_.failed();
  }
}

}  // namespace procpool::futures
