// What a program may ask of a pool besides its statistics: whether it is broken, and a wait until
// all workers have started.
#include <atomic>
#include <chrono>
#include <optional>
#include <string>

#include "futures/completion_hub.hpp"
#include "os/futex.hpp"
#include "pool/pool.hpp"
#include "procpool/errors.hpp"

namespace procpool::parent {
namespace {

using shm::u32;

// The end of a sleep whose wake-up got lost, and of one during which the pool is shut down.
constexpr std::chrono::nanoseconds longest_doze = std::chrono::milliseconds(50);

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
    recall_workers(true);
    u32 missing = 0, first = 0;
    for (u32 i = crew_.size(); i-- > 0;) {
      if (crew_.runs(i) && region_.worker(i).ready.load() == shm::worker_is_ready) continue;
      ++missing;
      first = i;
    }
    if (missing == 0) return;
    const std::chrono::nanoseconds left =
        futures::time_until(deadline ? &*deadline : nullptr, longest_doze);
    if (left == std::chrono::nanoseconds::zero()) {
      throw timeout_error(std::to_string(missing) + " (of " + std::to_string(crew_.size()) +
                          ") workers have not started");
    }
    std::atomic<u32>& ready = region_.worker(first).ready;
    if (crew_.runs(first) && ready.load() == 0) {
      lock.unlock();
      os::futex_wait(ready, 0, left);
      lock.lock();
    } else {
      staffed_cv_.wait_for(lock, left);
    }
  }
}

}  // namespace procpool::parent
