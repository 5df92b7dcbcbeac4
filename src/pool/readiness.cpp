// What a program may ask of a pool besides its statistics: whether it is broken, and a wait until
// all workers have started.
#include <algorithm>
#include <optional>
#include <string>

#include "os/futex.hpp"
#include "pool/pool.hpp"
#include "procpool/errors.hpp"

namespace procpool::parent {
namespace {

using shm::u32;

// The end of a sleep whose wake-up got lost, and of one during which the pool is shut down.
constexpr duration longest_doze = std::chrono::milliseconds(50);

}  // namespace

std::optional<std::string> pool::broken() {
  const base::lock_guard lock(mutex_);
  if (broken_.empty()) return std::nullopt;
  return broken_;
}

// The supervisor wakes the thread when the pid of a worker is known, and the worker itself when its
// initializer is done.
void pool::wait_for_workers(const std::optional<duration>& timeout) {
  std::optional<time_point> deadline;
  if (timeout) deadline = detail::deadline_after(*timeout);
  base::unique_lock lock(mutex_);
  for (;;) {
    check_open();
    u32 missing = 0, first = 0;
    for (u32 i = crew_.size(); i-- > 0;) {
      if (crew_.runs(i) && region_.worker(i).ready.load() == shm::worker_is_ready) continue;
      ++missing;
      first = i;
    }
    if (missing == 0) return;
    const time_point t = now();
    if (deadline && t >= *deadline) {
      throw timeout_error(std::to_string(missing) + " (of " + std::to_string(crew_.size()) +
                          ") workers have not started");
    }
    time_point until = t + longest_doze;
    if (deadline) until = std::min(until, *deadline);
    const auto exact = std::chrono::time_point_cast<std::chrono::steady_clock::duration>(until);
    std::atomic<u32>& ready = region_.worker(first).ready;
    if (crew_.runs(first) && ready.load() == 0) {
      lock.unlock();
      os::futex_wait_until(ready, 0, exact);
      lock.lock();
    } else {
      staffed_cv_.wait_until(lock, exact);
    }
  }
}

}  // namespace procpool::parent
