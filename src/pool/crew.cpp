// The crew: a seat for each worker, when to start workers, and what a death means for the pool.
// Called by the supervisor, under the pool's mutex.
#include <algorithm>
#include <array>
#include <csignal>
#include <string>
#include <system_error>
#include <utility>

#include "pool/pool.hpp"
#include "procpool/errors.hpp"
#include "shm/worker_argument.hpp"
#include "wire/exception_codec.hpp"

namespace procpool::parent {
namespace {

using shm::u32;
using namespace std::chrono_literals;

// Deaths outside of tasks without a completed task in between: more than a limit within this time
// break the pool. Erlang's supervisors and systemd have the same kind of limit.
constexpr duration death_window = 5s;
constexpr std::size_t least_deaths = 3;
constexpr duration first_restart_pause = 10ms, longest_restart_pause = 1s;
// How long starts of workers may fail before a broadcast fails.
constexpr duration start_patience = 2s;

}  // namespace

// After the last reported death of a lost server all seats are started again.
bool pool::may_start() const {
  return !drained_ && doomed_with_ == 0 && broken_.empty() && !server_->lost();
}

void pool::want(u32 index, duration pause) noexcept {
  seats_[index].wanted = true;
  seats_[index].start_at = now() + pause;
}

void pool::start_wanted() {
  for (u32 i = 0; i < seats_.size(); ++i) {
    if (!may_start()) seats_[i].wanted = false;
    if (!seats_[i].wanted || seats_[i].start_at > now()) continue;
    try {
      start_seat(i);
    } catch (const std::exception&) {
      want(i, first_restart_pause);  // without memory, later
    }
  }
}

// All calls that may throw precede the first change of the seat: without memory the start is
// retried.
void pool::start_seat(u32 index) {
  seat& s = seats_[index];
  const shm::u64 partition = take_partition(index);
  if (partition == 0) {
    // No partition is free, since results of dead workers are being read: retries soon.
    want(index, first_restart_pause);
    return;
  }
  shm::worker_block& line = region_.worker(index);
  // Resets words that a task may have overwritten and that would end the new worker, too.
  region_.control().stopping.store(0);
  line.futex.store(1);
  line.ready.store(0);
  line.tasks.store(0);
  line.done_list.store(0);
  line.trace_length.store(0);
  line.signals = 0;
  try {
    const shm::worker_argument given{partition, take_row(index)};
    server_->start_worker({index, s.incarnation + 1}, given.pack(), signals_);
  } catch (...) {
    release_row(index);
    retire_partition(partition);
    throw;
  }
  s.wanted = false;
  s.phase = seat_phase::starting;
  s.pid = 0;
  s.partition = partition;
  ++s.incarnation;
}

// What a death means for the pool: a task died with its worker, the worker exited normally, or the
// pool itself cannot run workers.
void pool::assess_death(u32 index, const death& d, bool progress) noexcept {
  if (drained_ || doomed_with_ != 0 || !broken_.empty()) return;
  const shm::worker_block& line = region_.worker(index);
  const bool start_failed = d.pid == 0 && d.error != 0;
  // A worker that has had a task was initialized, whatever its worker line contains.
  const u32 ready = line.ready.load();
  const bool hook_failed = !start_failed && !progress && options_.initializer && ready != 1;
  if (hook_failed && ready == 2) {
    break_pool([&] { return initializer_failure(index); });
    return;
  }
  if (progress) {
    idle_deaths_.clear();
    pause_ = duration::zero();
  } else if (start_failed && anybody_runs()) {
    // Too many processes for the moment: the pool continues with fewer workers.
    pause_ = longest_restart_pause;
    note_start_failure(d.error);
  } else {
    // A task completed since the last idle death shows that the pool works.
    const std::size_t done = tasks_done();
    if (done != std::exchange(done_at_idle_death_, done)) idle_deaths_.clear();
    const time_point t = now();
    std::erase_if(idle_deaths_, [&](time_point then) { return t - then > death_window; });
    idle_deaths_.push_back(t);
    const std::size_t most =
        hook_failed ? least_deaths : std::max(least_deaths, std::size_t{2} * seats_.size());
    if (idle_deaths_.size() > most) {
      break_pool([&] { return idle_death_text(d, hook_failed); });
      return;
    }
    // The first death may be an accident; the pauses before later starts grow.
    if (idle_deaths_.size() > 1) {
      pause_ = pause_ == duration::zero() ? first_restart_pause
                                          : std::min(pause_ * 2, longest_restart_pause);
    }
  }
  ++restarts_;
  want(index, pause_);
}

// Notifies a broadcast, which waits for all workers.
void pool::note_start_failure(int error) noexcept {
  if (!start_fails_since_) start_fails_since_ = now();
  if (now() - *start_fails_since_ < start_patience) return;
  // relaxed: it publishes nothing else; the hub's mutex makes it visible to sleeping threads
  start_error_.store(error, std::memory_order_relaxed);
  completion_hub& hub = completion_hub::instance();
  const base::lock_guard lock(hub.mutex());
  hub.ring();
}

// Advisory: the workers write these counts.
std::size_t pool::tasks_done() const {
  std::size_t sum = 0;
  for (u32 i = 0; i < seats_.size(); ++i) {
    sum += seats_[i].tasks_before;
    if (seats_[i].phase != seat_phase::empty) sum += region_.worker(i).tasks.load();
  }
  return sum;
}

bool pool::anybody_runs() const {
  return std::any_of(seats_.begin(), seats_.end(),
                     [](const seat& s) { return s.phase == seat_phase::running; });
}

std::string pool::initializer_failure(u32 index) const {
  return "the pool's initializer failed in worker " + std::to_string(index) + ": " +
         report_of(index);
}

// The text of the exception that the worker has reported.
std::string pool::report_of(u32 index) const {
  const shm::worker_block& line = region_.worker(index);
  const u32 length = std::min<u32>(line.report_length.load(), shm::report_bytes);
  try {
    detail::wire_reader reader(line.report, length);
    std::rethrow_exception(wire::decode_exception(reader, ""));
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "it threw an exception that is not a std::exception";
  }
}

std::string pool::idle_death_text(const death& d, bool in_initializer) const {
  std::string how;
  if (d.pid == 0) {
    how = "could not be started: " + std::generic_category().message(d.error);
  } else if (d.exit_kind == CLD_EXITED) {
    how = "left with exit code " + std::to_string(d.exit_status);
  } else {
    how = "were ended by signal " + std::to_string(d.exit_status);
    if (const char* name = sigabbrev_np(d.exit_status)) how += " (SIG" + std::string(name) + ")";
  }
  const std::string where = in_initializer ? " in the initializer"
                            : d.pid == 0   ? ""
                                           : " before they ran any task";
  return "the pool's workers " + how + where + ", again and again";
}

}  // namespace procpool::parent
