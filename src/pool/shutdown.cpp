// How a pool ends. `shutdown` waits until every task is resolved and every worker has exited;
// `terminate_workers` and `kill_workers` end the workers first. Pools also end by themselves: a
// pool breaks if it cannot start workers any more, and is given up if the death of a worker cannot
// be proven. When the executor is destroyed (`abandon`), the remaining owners keep the pool:
// futures and the supervisor.
#include <algorithm>
#include <csignal>
#include <exception>
#include <new>
#include <thread>
#include <utility>

#include "futures/kept_error.hpp"
#include "os/event_fd.hpp"
#include "pool/pool.hpp"
#include "procpool/errors.hpp"

namespace procpool::parent {
namespace {

using futures::kept_error;
using shm::u32;
using shm::u64;
using namespace std::chrono_literals;

// A killed process is dead in milliseconds, or in seconds if it has much memory.
constexpr duration shutdown_grace = 5s;
constexpr std::chrono::milliseconds longest_slice{500};
constexpr duration nudge_pause = 500ms;

}  // namespace

task_record* pool::first_unresolved(u32& from) {
  for (; from < region_.allocated_slots(); ++from) {
    task_record* r = record_at(from);
    // acquire: a record in use has been so since the mutex was taken, or longer
    if (r->references.load(std::memory_order_acquire) != 0 && !r->resolved()) return r;
  }
  return nullptr;
}

// The calling thread sleeps on one task after the other, and checks none twice.
bool pool::wait_until_drained(const time_point* deadline) {
  u32 from = 0;
  for (;;) {
    task_record* r = nullptr;
    {
      const base::lock_guard lock(mutex_);
      r = first_unresolved(from);
      if (r != nullptr) look_at(*r);
    }
    if (r == nullptr) return true;
    // Bounded: when this thread sleeps, the record may belong to another task, and its slot to
    // another record.
    time_point until = now() + duration(50ms);
    if (deadline != nullptr && *deadline < until) until = *deadline;
    r->wait_until(&until);
    if (deadline != nullptr && now() >= *deadline) return false;
  }
}

// Under mutex_ no task is submitted, so a READY record keeps its task. Needs no memory.
void pool::cancel_pending() {
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    task_record* r = record_at(i);
    u64 word = 0;
    if (r->references.load() == 0 || !r->load(word)) continue;
    if (shm::phase_of(word) == shm::task_phase::ready) r->cancel(false);
  }
}

void pool::shutdown(const shutdown_options& o) {
  bool may_wait = o.wait;
  {
    const base::lock_guard lock(mutex_);
    stopping_ = true;
    fast_path_ = false;
    if (o.cancel_futures) cancel_pending();
    // The call may come from a report that runs on the supervisor, which does not wait for itself.
    if (std::this_thread::get_id() == supervisor_.get_id()) may_wait = false;
  }
  wake_supervisor();
  if (!may_wait) return;
  std::optional<time_point> deadline;
  if (o.timeout) deadline = detail::deadline_after(*o.timeout);
  if (!wait_until_drained(deadline ? &*deadline : nullptr)) signal_workers(SIGKILL);
  wake_supervisor();
  // The supervisor may be busy, for example with the start of a server, or get no events any more.
  // So each turn checks everything that can end the wait.
  base::unique_lock lock(mutex_);
  while (!ended_) {
    const time_point t = now();
    if (deadline && t >= *deadline && !give_up_at_) {
      doom(SIGKILL);  // a hook that does not end, or a stopped worker
      wake_->signal();
    }
    if (give_up_at_ && t >= *give_up_at_) {
      give_up_in_time();
      return;  // the supervisor ends by itself
    }
    time_point until = t + duration(longest_slice);
    if (deadline && !give_up_at_) until = std::min(until, *deadline);
    if (give_up_at_) until = std::min(until, *give_up_at_);
    ended_cv_.wait_until(lock,
                         std::chrono::time_point_cast<std::chrono::steady_clock::duration>(until));
  }
  if (supervisor_.joinable()) supervisor_.join();
}

// terminate_workers and kill_workers: cancels pending tasks, ends the workers, and starts no new
// ones.
void pool::signal_workers(int signal) {
  {
    const base::lock_guard lock(mutex_);
    stopping_ = true;
    fast_path_ = false;
    cancel_pending();
    doom(signal);
  }
  wake_supervisor();
}

void pool::doom(int signal) {
  doomed_with_ = signal;
  if (signal == SIGKILL && !give_up_at_) {
    give_up_at_ = now() + shutdown_grace;
  }
  crew_.signal_all(signal);
}

void pool::give_up_in_time() noexcept {
  give_up(
      "the pool's workers were killed, and are not known to be dead some seconds later: they may "
      "run "
      "as another user, be frozen or be stuck in the kernel, or their fork server does not answer");
}

// No progress is possible any more: all pending tasks get the cause as their error.
void pool::break_pool_with(std::string cause) noexcept {
  broken_ = std::move(cause);
  fast_path_ = false;
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    task_record& r = *record_at(i);
    shm::u64 word = 0;
    // acquire: as in first_unresolved
    if (r.references.load(std::memory_order_acquire) == 0) continue;
    while (r.load(word) && shm::phase_of(word) == shm::task_phase::ready) {
      const auto broken = [this] {
        base::assert_held(mutex_);
        return broken_process_pool(broken_);
      };
      r.error = kept_error(broken, out_of_memory_);
      if (r.slot.load()->word.compare_exchange_strong(
              word, shm::with_phase(word, shm::task_phase::crashed))) {
        r.drop_argument_objects();  // as in resolve_with
        announce(r);
        break;
      }
    }
  }
  // Workers that still run a task may finish it.
  region_.control().stopping.store(1);
  roster_.wake_all();
}

// Without proof of death: the proof is required only to reuse memory, and no memory of the region
// is reused after this. A worker that is still alive finds at the end of its task that the pool has
// stopped.
void pool::give_up(const char* cause) noexcept {
  if (std::exchange(given_up_, true)) return;
  fast_path_ = false;
  if (!give_up_at_) give_up_at_ = now() + shutdown_grace;
  try {
    broken_ = cause;
  } catch (const std::bad_alloc&) {
    broken_ = "given up";  // short enough to need no memory
  }
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    task_record& r = *record_at(i);
    shm::u64 word = 0;
    if (!r.load(word) || shm::is_resolved(word)) continue;
    const shm::task_phase phase = shm::phase_of(word);
    if (phase == shm::task_phase::free) continue;
    try {
      // relaxed: changed and read under the mutex, except for a guess in cancel()
      if (phase == shm::task_phase::kill &&
          r.overrun.load(std::memory_order_relaxed) != r.generation) {
        resolve_killed(r, word);
      } else {
        resolve_with(r, word, std::make_exception_ptr(broken_process_pool(broken_)));
      }
    } catch (const std::bad_alloc&) {
      resolve_with(r, word, std::current_exception());
    }
  }
  region_.control().stopping.store(1);
  roster_.wake_all();
}

// Called after each round: true once all processes have exited and no work is left.
bool pool::wind_down() {
  if (!stopping_) return false;
  task_record* left = drained_ ? nullptr : first_unresolved(drained_to_);
  if (left != nullptr) {
    hints_.repair();
    if (look_at(*left)) roster_.wake_all();
    return false;
  }
  if (!drained_) {
    drained_ = true;
    region_.control().stopping.store(1);
    roster_.wake_all();
  }
  if (given_up_) return true;
  if (give_up_at_ && now() >= *give_up_at_) {
    give_up_in_time();
    return true;
  }
  if (!drained_) return false;
  if (server_lost_ || !crew_.any_taken()) return true;
  // The workers have only to exit. A worker stopped by a signal cannot, so it gets SIGCONT.
  if (nudge_at_ == time_point{}) nudge_at_ = now() + nudge_pause;
  if (now() >= nudge_at_) {
    nudge_at_ = now() + nudge_pause;
    crew_.signal_all(SIGCONT);
  }
  return false;
}

// The executor is destroyed. The records in use own the pool now, and so does the supervisor until
// it ends.
void pool::abandon(const shutdown_options& options) noexcept {
  if (options.wait) {
    try {
      shutdown(options);
    } catch (...) {
      report(std::current_exception());
    }
  }
  base::unique_lock lock(mutex_);
  abandoned_ = true;
  stopping_ = true;
  fast_path_ = false;
  const std::int64_t owners = static_cast<std::int64_t>(slots_.close()) + (ended_ ? 0 : 1);
  lock.unlock();
  const std::int64_t change = owners - executor_share;
  // acquire, release: all accesses of all owners happen before the last owner deletes the pool
  if (owners_.fetch_add(change, std::memory_order_acq_rel) + change == 0) delete this;
}

bool pool::try_retain() noexcept {
  std::int64_t n = owners_.load(std::memory_order_relaxed);
  while (n > 0) {
    // acquire, release: as in abandon()
    if (owners_.compare_exchange_weak(n, n + 1, std::memory_order_acq_rel)) return true;
  }
  return false;
}

void pool::release() noexcept {
  // acquire, release: as in abandon()
  if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

}  // namespace procpool::parent
