// One thread for each pool. It sleeps in poll() until a worker starts or dies, or until the pool
// closes; no task passes through it.
#include <algorithm>
#include <array>
#include <csignal>
#include <new>
#include <system_error>
#include <utility>

#include "futures/kept_error.hpp"
#include "os/event_fd.hpp"
#include "os/poll.hpp"
#include "pool/pool.hpp"
#include "procpool/errors.hpp"
#include "runtime/fork_gate.hpp"
#include "shm/worker_argument.hpp"
#include "wire/exception_codec.hpp"

namespace procpool::parent {
namespace {

using futures::kept_error;
using shm::u32;
using namespace std::chrono_literals;

// Deaths outside of tasks, without a single task done in between: more than so many in this time
// and the pool is broken. Erlang's supervisors and systemd have the same kind of limit.
constexpr duration death_window = 5s;
constexpr std::size_t least_deaths = 3;
constexpr duration first_pause = 10ms, longest_pause = 1s;
// How long a worker may be missing before a broadcast gives it up.
constexpr duration start_patience = 2s;
// While a pool that nobody waits for winds down, its tasks end without telling anybody.
constexpr std::chrono::milliseconds wind_down_step{10};
// Whatever a descriptor says or does not say: then it is looked at what there is.
constexpr std::chrono::milliseconds longest_sleep{1000};
constexpr std::chrono::milliseconds retry_pause{10};
constexpr std::chrono::milliseconds blind_pause{100};  // nothing wakes the thread up any more
constexpr duration nudge_pause = 500ms;
constexpr duration shutdown_grace = 5s;  // after descriptors are gone: see pool.cpp
// Slots that are not used any more, since a task has overwritten their words.
constexpr std::size_t most_lost_slots = 1024;

time_point now() { return std::chrono::steady_clock::now(); }

}  // namespace

void pool::wake_supervisor() noexcept { wake_->signal(); }

std::unique_ptr<launch::fork_server_client> pool::start_server() {
  // Another file's number would make the workers map that file.
  if (!region_.owns_file()) throw shm::disowned_file(region_.fd());
  return launch::fork_server_client::start(
      {options_.start, region_.fd(), shm::parent_page_fd(), stderr_.worker_end()});
}

void pool::supervise() {
  // Forking this process is safe while this thread sleeps in poll, and only then.
  const runtime::library_thread registered;
  for (bool more = true; more;) {
    std::array<os::poll_item, 4> items{};
    if (has_descriptors()) {
      items[0].fd = server_lost_ ? -1 : server_->event_fd();
      items[1].fd = wake_->fd();
      items[2].fd = stderr_.readable_fd();
      items[3] = {stderr_.writable_fd(), os::poll_for::output};
    }
    const std::chrono::milliseconds timeout = next_timeout();
    {
      const runtime::fork_safe_scope forks_may_happen;
      os::poll_items(items, timeout);
    }
    wake_->clear();
    try {
      more = handle_events();
      stderr_.pump();
    } catch (const std::exception&) {
      // Without memory, or descriptors. What is left to do is found in the next round.
      const runtime::fork_safe_scope forks_may_happen;
      os::poll_items({}, retry_pause);
      wake_supervisor();
    }
  }
  server_->stop(launch::fork_server_client::default_grace);
  stderr_.finish();
  {
    // No task is unresolved: after this drain no dropped one is left either.
    const std::lock_guard hub(completion_hub::instance().mutex());
    drain();
  }
  std::unique_lock lock(mutex_);
  deliver_lost();
  ended_ = true;
  ended_cv_.notify_all();
  const bool abandoned = abandoned_;
  if (abandoned) supervisor_.detach();
  lock.unlock();
  // After abandon() this thread is one of the pool's owners.
  if (abandoned) disown();
}

std::chrono::milliseconds pool::next_timeout() {
  const std::lock_guard lock(mutex_);
  std::chrono::milliseconds most = longest_sleep;
  const auto at_most = [&most](std::chrono::milliseconds pause) { most = std::min(most, pause); };
  if (!server_lost_ && server_->patience() >= 0ms) at_most(server_->patience());
  if (stopping_ && !drained_) most = wind_down_step;
  const auto not_after = [&](time_point t) {
    at_most(std::chrono::ceil<std::chrono::milliseconds>(std::max(duration::zero(), t - now())));
  };
  for (const seat& s : seats_) {
    if (s.wanted) not_after(s.start_at);
  }
  if (tends_) not_after(tend_at_);
  if (give_up_at_ && !given_up_) not_after(*give_up_at_);
  if (given_up_) at_most(blind_pause);
  if (linger_pause_ != 0ms) at_most(linger_pause_);
  return most;
}

// False once no process is left and the pool is closed.
bool pool::handle_events() {
  if (!has_descriptors()) {
    const std::lock_guard lock(mutex_);
    give_up(
        "a descriptor of procpool was closed by the program, which had not opened it: close only "
        "what you have opened (closefrom, close_range, a loop over all numbers), or do so before "
        "the pool is made");
    return !wind_down();
  }
  while (const std::optional<launch::server_event> e = server_->next_event()) {
    handle(*e);
  }
  send_reports();
  look_after_objects();
  tend_blocks();
  const std::lock_guard lock(mutex_);
  if (lost_slots_ > most_lost_slots && broken_.empty()) {
    break_pool([] {
      return std::string(
          "tasks have damaged the shared memory of this pool again and again: they write where "
          "they must not");
    });
  }
  start_wanted();
  return !wind_down();
}

// Memory of large arguments that nobody needs any more. Whoever submits may do so in between.
void pool::tend_blocks() {
  std::unique_lock lock(mutex_);
  if (!tends_ || now() < tend_at_) return;
  collect_freed();
  blocks_.tend();
  while (blocks_.give_back_some()) {
    lock.unlock();
    lock.lock();
  }
  tends_ = blocks_.has_large();
  tend_at_ = now() + tend_pause;
}

// Whatever memory there is: a death that is not swept leaves tasks that nobody resolves.
void pool::handle(const launch::server_event& e) noexcept {
  std::unique_lock lock(mutex_);
  switch (e.what) {
    case launch::server_event::kind::started:
      on_started(e);
      break;
    case launch::server_event::kind::exited:
      on_exited(e);
      break;
    case launch::server_event::kind::start_failed:
      seats_[e.id.seat].phase = seat_phase::empty;
      retire_partition(seats_[e.id.seat].partition);
      release_row(e.id.seat);
      want(e.id.seat, duration::zero());
      judge(e.id.seat, {e.id, 0, 0, 0, e.error}, false);
      break;
    case launch::server_event::kind::server_gone:
      on_server_gone(lock);
      break;
  }
}

// Not under mutex_: the server's client is the supervisor's.
bool pool::has_descriptors() const noexcept {
  return wake_->is_ours() && region_.owns_file() && stderr_.has_descriptors() &&
         server_->has_descriptors();
}

// All seats are started again when the last death of a lost server has been heard of.
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
      want(i, first_pause);  // without memory, later
    }
  }
}

// What throws comes before the first change: without memory it is tried again.
void pool::start_seat(u32 index) {
  seat& s = seats_[index];
  const shm::u64 partition = take_partition(index);
  if (partition == 0) {
    // Results of dead workers are being read; they will be done with soon.
    want(index, first_pause);
    return;
  }
  shm::worker_block& line = region_.worker(index);
  // What a task may have overwritten would end the new worker, too.
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

void pool::on_started(const launch::server_event& e) {
  seat& s = seats_[e.id.seat];
  if (s.incarnation != e.id.incarnation) return;
  s.phase = seat_phase::running;
  s.pid = e.pid;
  start_fails_since_.reset();
  start_error_.store(0, std::memory_order_relaxed);  // as below
  if (doomed_with_ != 0) {
    os::announce_signal(region_.worker(e.id.seat).signals, doomed_with_);
    server_->signal_worker(e.id, doomed_with_);
  }
  // It may have begun a task, and that may have been cancelled, before we knew its pid.
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    shm::u64 word = 0;
    if (record_at(i)->load(word) && shm::phase_of(word) == shm::task_phase::kill &&
        shm::worker_of(word) == e.id.seat) {
      server_->signal_worker(e.id, SIGKILL);
    }
  }
}

void pool::on_exited(const launch::server_event& e) noexcept {
  seat& s = seats_[e.id.seat];
  if (s.incarnation != e.id.incarnation || s.phase == seat_phase::empty) return;
  const death d{e.id, e.pid, e.exit_kind, e.exit_status, e.error, stderr_.take_tail(e.pid)};
  const bool had_task = sweep(e.id.seat, d);
  // The worker counts by itself: not more than there were.
  const std::size_t tasks = std::min<std::size_t>(region_.worker(e.id.seat).tasks, submitted_);
  s.tasks_before += tasks;
  s.phase = seat_phase::empty;
  s.pid = 0;
  retire_partition(s.partition);
  release_row(e.id.seat);
  // A wake may have died with it: between clearing a sleeper's bit and waking it, or with a worker
  // that was woken and took nothing. So everybody looks.
  roster_.wake_all();
  want(e.id.seat, duration::zero());
  judge(e.id.seat, d, had_task || tasks != 0);
}

// What a death means for the pool: a task died with its worker, or the worker left in order, or
// the pool itself is in trouble.
void pool::judge(u32 index, const death& d, bool progress) noexcept {
  if (drained_ || doomed_with_ != 0 || !broken_.empty()) return;
  const shm::worker_block& line = region_.worker(index);
  const bool start_failed = d.pid == 0 && d.error != 0;
  // A worker that has had a task was initialised, whatever its line says.
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
    // Too many processes for the moment: the pool goes on with fewer.
    pause_ = longest_pause;
    note_start_failure(d.error);
  } else {
    // What anybody did since the last one shows that the pool works.
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
    // The first one may be bad luck; the next wait longer and longer.
    if (idle_deaths_.size() > 1) {
      pause_ = pause_ == duration::zero() ? first_pause : std::min(pause_ * 2, longest_pause);
    }
  }
  ++restarts_;
  want(index, pause_);
}

// A broadcast waits for all workers, and hears of it.
void pool::note_start_failure(int error) noexcept {
  if (!start_fails_since_) start_fails_since_ = now();
  if (now() - *start_fails_since_ < start_patience) return;
  // relaxed: it says all by itself; the hub's mutex brings it to who sleeps
  start_error_.store(error, std::memory_order_relaxed);
  completion_hub& hub = completion_hub::instance();
  const std::lock_guard lock(hub.mutex());
  hub.ring();
}

// Advisory: the workers count by themselves.
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

// The text of the exception that the worker has left.
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

// The fork server is gone, and each of its workers has been reported as dead before. With spawn
// and forkserver there can be another one; a forked server cannot be made again in a program that
// has moved on.
void pool::on_server_gone(std::unique_lock<os::short_mutex>& lock) noexcept {
  if (drained_ || doomed_with_ != 0 || !broken_.empty()) {
    server_lost_ = true;
    return;
  }
  if (options_.start == start_method::fork) {
    server_lost_ = true;
    break_pool([] {
      return std::string(
          "the pool's fork server died, and a forked one cannot be made again: use "
          "start_method::spawn, or make a new pool");
    });
    return;
  }
  try {
    // Starting a program may take long, and nobody waits for it who only submits.
    lock.unlock();
    std::unique_ptr<launch::fork_server_client> next;
    try {
      next = start_server();
    } catch (...) {
      lock.lock();
      throw;
    }
    lock.lock();
    server_.swap(next);
    for (u32 i = 0; i < seats_.size(); ++i) want(i, duration::zero());
    lock.unlock();
    next.reset();  // waits for the processes of the old one
    lock.lock();
  } catch (const std::exception& e) {
    server_lost_ = true;
    break_pool([&] {
      return std::string("the pool's fork server died and cannot be started again: ") + e.what();
    });
  }
}

template <class Text>
void pool::break_pool(Text cause) noexcept {
  try {
    break_pool_with(cause());
  } catch (const std::bad_alloc&) {
    break_pool_with("out of memory");  // so short that it takes none
  }
}

// No progress is possible: everything that waits gets the cause.
void pool::break_pool_with(std::string cause) noexcept {
  broken_ = std::move(cause);
  usual_ = false;
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    task_record& r = *record_at(i);
    shm::u64 word = 0;
    // acquire: as in first_unresolved
    if (r.references.load(std::memory_order_acquire) == 0) continue;
    while (r.load(word) && shm::phase_of(word) == shm::task_phase::ready) {
      r.error = kept_error([this] { return broken_process_pool(broken_); }, out_of_memory_);
      if (r.slot.load()->word.compare_exchange_strong(
              word, shm::with_phase(word, shm::task_phase::crashed))) {
        r.let_arguments_go();  // as in resolve_with
        announce(r);
        break;
      }
    }
  }
  // Workers that still run a task may finish it.
  region_.control().stopping.store(1);
  roster_.wake_all();
}

// Proof of death is for using memory again, and no memory is used again after this: a worker that
// lives on has the region to itself, and finds at the end of its task that nobody waits for it.
void pool::give_up(const char* cause) noexcept {
  if (std::exchange(given_up_, true)) return;
  usual_ = false;
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
      if (phase == shm::task_phase::kill) {
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

// Called after each round: true once all processes are gone and nothing is left to do.
bool pool::wind_down() {
  if (!stopping_) return false;
  task_record* left = drained_ ? nullptr : first_unresolved(drained_to_);
  if (left != nullptr) {
    mend_control();
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
  bool anybody = false;
  for (const seat& s : seats_) anybody = anybody || (s.phase != seat_phase::empty && !server_lost_);
  if (!anybody) return true;
  // They have nothing to do but to leave. A worker that somebody has stopped cannot.
  if (nudge_at_ == time_point{}) nudge_at_ = now() + nudge_pause;
  if (now() >= nudge_at_) {
    nudge_at_ = now() + nudge_pause;
    signal_running(SIGCONT);
  }
  return false;
}

}  // namespace procpool::parent
