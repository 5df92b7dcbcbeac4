#include "pool/crew.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <exception>
#include <system_error>
#include <utility>

#include "base/guarded.hpp"
#include "futures/completion_hub.hpp"
#include "pool/task_record.hpp"
#include "wire/exception_codec.hpp"

namespace procpool::parent {
namespace {

using shm::u32;
using namespace std::chrono_literals;

// Deaths outside of tasks without a completed task in between: more than a limit within this time
// break the pool. Erlang's supervisors and systemd have the same kind of limit.
constexpr duration death_window = 5s;
constexpr std::size_t least_deaths = 3;
constexpr std::size_t few_deaths = 8;
constexpr duration first_restart_pause = 10ms, longest_restart_pause = 1s;
// How long starts of workers may fail before a broadcast fails.
constexpr duration start_patience = 2s;

}  // namespace

crew::crew(const shm::region& region, const server_ptr& server, bool has_initializer)
    : region_(region),
      server_(server),
      has_initializer_(has_initializer),
      seats_(region.workers()) {
  idle_deaths_.reserve(2 * seats_.size() + few_deaths);  // so that judge() needs no memory
}

bool crew::any_taken() const noexcept {
  return std::any_of(seats_.begin(), seats_.end(),
                     [](const seat& s) { return s.phase != seat_phase::empty; });
}

bool crew::any_runs() const noexcept {
  return std::any_of(seats_.begin(), seats_.end(),
                     [](const seat& s) { return s.phase == seat_phase::running; });
}

worker_stats crew::stats_of(u32 index, bool is_busy) const {
  const seat& s = seats_[index];
  worker_stats w;
  w.index = static_cast<int>(index);
  w.pid = s.pid;
  w.tasks_done = s.tasks_before;
  w.state = worker_state::ended;
  if (s.phase != seat_phase::empty) {
    const shm::worker_block& line = region_.worker(index);
    // relaxed: advisory
    w.tasks_done += line.tasks.load(std::memory_order_relaxed);
    w.state = s.phase == seat_phase::starting || line.ready.load() != shm::worker_is_ready
                  ? worker_state::starting
              : is_busy ? worker_state::busy
                        : worker_state::idle;
  }
  return w;
}

void crew::want(u32 index, duration pause) noexcept {
  seats_[index].wanted = true;
  seats_[index].start_at = now() + pause;
}

void crew::want_soon(u32 index) noexcept { want(index, first_restart_pause); }

void crew::want_all() noexcept {
  for (u32 i = 0; i < seats_.size(); ++i) want(i, duration::zero());
}

void crew::want_none() noexcept {
  for (seat& s : seats_) s.wanted = false;
}

bool crew::is_due(u32 index) const noexcept {
  return seats_[index].wanted && seats_[index].start_at <= now();
}

std::optional<time_point> crew::next_start() const noexcept {
  std::optional<time_point> first;
  for (const seat& s : seats_) {
    if (s.wanted && (!first || s.start_at < *first)) first = s.start_at;
  }
  return first;
}

void crew::start(u32 index, const shm::worker_argument& given) {
  seat& s = seats_[index];
  shm::worker_block& line = region_.worker(index);
  // Resets words that a task may have overwritten and that would end the new worker, too.
  region_.control().stopping.store(0);
  line.futex.store(1);
  line.ready.store(0);
  line.tasks.store(0);
  line.done_list.store(0);
  line.running.begin.store(0);
  line.trace_length.store(0);
  line.leave.store(0);
  line.signals = 0;
  server_->start_worker({index, s.incarnation + 1}, given.pack(), signals_);
  s.wanted = false;
  if (std::exchange(s.away, false)) --away_;
  s.recalled = false;
  s.idle_since.reset();
  s.phase = seat_phase::starting;
  s.pid = 0;
  s.partition = given.partition;
  ++s.incarnation;
}

bool crew::note_start(launch::seat_id id, pid_t pid) noexcept {
  seat& s = seats_[id.seat];
  if (s.incarnation != id.incarnation) return false;
  s.phase = seat_phase::running;
  s.pid = pid;
  start_fails_since_.reset();
  start_error_.store(0, std::memory_order_relaxed);  // as below
  return true;
}

bool crew::dismiss_if_idle(u32 index, bool is_asleep, duration patience) noexcept {
  seat& s = seats_[index];
  shm::worker_block& line = region_.worker(index);
  if (s.phase != seat_phase::running || s.away || line.ready.load() != shm::worker_is_ready) {
    return false;
  }
  // relaxed: advisory
  const std::size_t tasks = line.tasks.load(std::memory_order_relaxed);
  if (tasks != std::exchange(s.tasks_seen, tasks) || !s.idle_since) {
    s.idle_since = now();
    return false;
  }
  // Awake, it runs a task, or looks for one as each sleeper does once a second.
  if (!is_asleep || now() - *s.idle_since < patience) return false;
  s.away = true;
  ++away_;
  // release: pairs with the acquire in work_source::next
  line.leave.store(1, std::memory_order_release);
  return true;
}

bool crew::recall_one() noexcept {
  for (u32 i = 0; i < seats_.size(); ++i) {
    seat& s = seats_[i];
    if (!s.away || s.recalled || s.wanted) continue;
    if (s.phase == seat_phase::empty) {
      want(i, duration::zero());
    } else {
      s.recalled = true;
    }
    return true;
  }
  return false;
}

void crew::note_leave(u32 index, bool tasks_wait) noexcept {
  if (tasks_wait || seats_[index].recalled) want(index, duration::zero());
}

crew::past_life crew::vacate(u32 index, std::size_t most_tasks) noexcept {
  seat& s = seats_[index];
  // The worker writes this count: limited to what is possible.
  const std::size_t tasks = std::min<std::size_t>(region_.worker(index).tasks, most_tasks);
  s.tasks_before += tasks;
  s.phase = seat_phase::empty;
  s.pid = 0;
  return {s.partition, tasks};
}

// A task died with its worker, the worker exited normally, or the pool itself cannot run workers.
crew::verdict crew::judge(const worker_death& d, bool progress) noexcept {
  const u32 index = d.id.seat;
  const bool start_failed = d.pid == 0 && d.error != 0;
  // A worker that has had a task was initialized, whatever its worker line contains.
  const u32 ready = region_.worker(index).ready.load();
  const bool hook_failed =
      !start_failed && !progress && has_initializer_ && ready != shm::worker_is_ready;
  if (!start_failed && !progress && ready == shm::settings_failed) return verdict::settings_failed;
  if (hook_failed && ready == shm::initializer_failed) return verdict::initializer_threw;
  if (progress) {
    idle_deaths_.clear();
    pause_ = duration::zero();
  } else if (start_failed && any_runs()) {
    // Too many processes for the moment: the pool continues with fewer workers.
    pause_ = longest_restart_pause;
    note_start_failure(d.error);
  } else {
    if (too_many_idle_deaths(hook_failed)) {
      return hook_failed ? verdict::initializer_crashes : verdict::workers_die;
    }
    // The first death may be an accident; the pauses before later starts grow.
    if (idle_deaths_.size() > 1) {
      pause_ = pause_ == duration::zero() ? first_restart_pause
                                          : std::min(pause_ * 2, longest_restart_pause);
    }
  }
  ++restarts_;
  want(index, pause_);
  return verdict::restart;
}

// Counts one more death without progress.
bool crew::too_many_idle_deaths(bool in_initializer) noexcept {
  // A task completed since the last idle death shows that the pool works.
  const std::size_t done = tasks_done();
  if (done != std::exchange(done_at_idle_death_, done)) idle_deaths_.clear();
  const time_point t = now();
  std::erase_if(idle_deaths_, [&](time_point then) { return t - then > death_window; });
  idle_deaths_.push_back(t);
  const std::size_t most =
      in_initializer ? least_deaths : std::max(least_deaths, std::size_t{2} * seats_.size());
  return idle_deaths_.size() > most;
}

// Notifies a broadcast, which waits for all workers.
void crew::note_start_failure(int error) noexcept {
  if (!start_fails_since_) start_fails_since_ = now();
  if (now() - *start_fails_since_ < start_patience) return;
  // relaxed: it publishes nothing else; the hub's mutex makes it visible to sleeping threads
  start_error_.store(error, std::memory_order_relaxed);
  futures::completion_hub& hub = futures::completion_hub::instance();
  const base::lock_guard lock(hub.mutex());
  hub.ring();
}

// Advisory: the workers write these counts.
std::size_t crew::tasks_done() const noexcept {
  std::size_t sum = 0;
  for (u32 i = 0; i < seats_.size(); ++i) {
    sum += seats_[i].tasks_before;
    if (seats_[i].phase != seat_phase::empty) sum += region_.worker(i).tasks.load();
  }
  return sum;
}

std::string crew::report_of(u32 index) const {
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

std::string crew::cause(verdict v, const worker_death& d) const {
  if (v == verdict::settings_failed) {
    return "an option of pool_options::workers failed in worker " + std::to_string(d.id.seat) +
           ": " + report_of(d.id.seat);
  }
  if (v == verdict::initializer_threw) {
    return "the pool's initializer failed in worker " + std::to_string(d.id.seat) + ": " +
           report_of(d.id.seat);
  }
  std::string how;
  if (d.pid == 0) {
    how = "could not be started: " + std::generic_category().message(d.error);
  } else if (d.exit_kind == CLD_EXITED) {
    how = "left with exit code " + std::to_string(d.exit_status);
  } else {
    how = "were ended by signal " + std::to_string(d.exit_status);
    if (const char* name = sigabbrev_np(d.exit_status)) how += " (SIG" + std::string(name) + ")";
  }
  const std::string where = v == verdict::initializer_crashes ? " in the initializer"
                            : d.pid == 0                      ? ""
                                                              : " before they ran any task";
  return "the pool's workers " + how + where + ", again and again";
}

void crew::signal(u32 index, int signal) noexcept {
  os::announce_signal(region_.worker(index).signals, signal);
  server_->signal_worker(id_of(index), signal);
}

void crew::signal_all(int signal) noexcept {
  for (u32 i = 0; i < seats_.size(); ++i) {
    if (is_taken(i)) this->signal(i, signal);
  }
}

void crew::kill_worker(u32 index) noexcept { server_->signal_worker(id_of(index), SIGKILL); }

}  // namespace procpool::parent
