#include "pool/pool.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

#include "base/per_process.hpp"
#include "futures/callbacks.hpp"
#include "futures/kept_error.hpp"
#include "futures/unobserved_error.hpp"
#include "os/cpu_count.hpp"
#include "os/event_fd.hpp"
#include "pool/inline_pool.hpp"
#include "procpool/errors.hpp"
#include "runtime/at_exit.hpp"
#include "runtime/process_role.hpp"

namespace procpool::parent {
namespace {

using shm::u32;
using shm::u64;
using namespace std::chrono_literals;

// A process that was killed is dead in milliseconds, or after seconds where it has much memory.
constexpr std::chrono::seconds shutdown_grace{5};
constexpr std::chrono::milliseconds longest_slice{500};
constexpr std::size_t few_deaths = 8;

struct registry {
  std::mutex mutex;
  std::vector<pool*> pools;
};
constinit base::per_process<registry> registries;
registry& all_pools() { return registries.get(); }

}  // namespace

pool_options checked(pool_options o) {
  if (o.max_workers &&
      (*o.max_workers < 1 || *o.max_workers > static_cast<int>(shm::max_workers))) {
    throw std::invalid_argument("max_workers must be between 1 and 4096, not " +
                                std::to_string(*o.max_workers));
  }
  if (o.max_tasks_per_child && *o.max_tasks_per_child < 1) {
    throw std::invalid_argument("max_tasks_per_child must be at least 1, not " +
                                std::to_string(*o.max_tasks_per_child));
  }
  if (o.max_pending_bytes && *o.max_pending_bytes == 0) {
    throw std::invalid_argument("max_pending_bytes must be at least 1");
  }
  if (!o.max_workers) {
    o.max_workers = std::min(os::cpu_count(), static_cast<int>(shm::max_workers));
  }
  return o;
}

namespace {

std::atomic<task_record*>* allocate_table() {
  // calloc: pages that are never used cost nothing. All bits zero is a null pointer.
  void* table = std::calloc(shm::max_slots, sizeof(std::atomic<task_record*>));
  if (table == nullptr) throw std::bad_alloc();
  return static_cast<std::atomic<task_record*>*>(table);
}

}  // namespace

pool::pool(pool_options options)
    : options_(checked(std::move(options))),
      region_(shm::region::create(static_cast<u32>(*options_.max_workers))),
      view_(region_.fd(), region_.arena_offset()),
      roster_(region_),
      cpus_(static_cast<u32>(os::cpu_count())),
      rows_(region_.workers()),
      blocks_(region_.fd(), region_.partition(0), region_.partition(1)),
      seats_(region_.workers()),
      partitions_(region_.partitions()),
      by_slot_(allocate_table(), &std::free) {
  shm::region_header& h = region_.header();
  h.cycles_per_us = base::cycles_per_us();
  h.cpus = cpus_;
  h.tasks_per_worker = static_cast<u32>(options_.max_tasks_per_child.value_or(0));
  idle_deaths_.reserve(2 * seats_.size() + few_deaths);  // judge() needs no memory
  // relaxed: nobody else knows of it; it is never in use
  lost_slot_.references.store(0, std::memory_order_relaxed);
  set_hook(options_.initializer, h.initializer_code, h.initializer_block, h.initializer_length);
  set_hook(options_.finalizer, h.finalizer_code, h.finalizer_block, h.finalizer_length);
  if (options_.capture_stderr) stderr_ = stderr_relay::make();
  server_ = start_server();
  for (u32 i = 0; i < region_.workers(); ++i) start_seat(i);
  wake_.emplace();
  try {
    objects::instance().add_waker(*wake_);
    {
      completion_hub& hub = completion_hub::instance();
      const std::lock_guard lock(hub.mutex());
      hub.attach(*this);
    }
    {
      registry& all = all_pools();
      const std::lock_guard lock(all.mutex);
      all.pools.push_back(this);
    }
    supervisor_ = std::thread([this] { supervise(); });
  } catch (...) {
    forget();
    throw;
  }
}

pool::~pool() {
  if (supervisor_.joinable()) supervisor_.join();
  forget();
  if (!given_up_) return;
  // What has not been proven dead may count in its row.
  for (u32 i = 0; i < seats_.size(); ++i) {
    if (seats_[i].phase != seat_phase::empty) rows_.exchange(i, 0);
  }
}

void pool::forget() noexcept {
  if (objects* all = objects::existing()) all->remove_waker(*wake_);
  {
    registry& all = all_pools();
    const std::lock_guard lock(all.mutex);
    std::erase(all.pools, this);
  }
  completion_hub& hub = completion_hub::instance();
  const std::lock_guard lock(hub.mutex());
  hub.detach(*this);
}

void pool::set_hook(const invocation& hook, u64& code, u64& block, u64& length) {
  if (!hook) return;
  code = detail::to_code_ref(reinterpret_cast<const void*>(hook.thunk())).bits;
  length = hook.task().size();
  if (length == 0) return;
  const shm::block b = blocks_.allocate(length);
  std::memcpy(view_.at(b.offset, length), hook.task().data(), length);
  block = b.offset;
}

task_record* pool::first_unresolved(u32& from) {
  for (; from < region_.allocated_slots(); ++from) {
    task_record* r = record_at(from);
    // acquire: what is in use is so since the mutex was taken, or longer
    if (r->references.load(std::memory_order_acquire) != 0 && !r->resolved()) return r;
  }
  return nullptr;
}

// The caller's thread sleeps on one task after the other: none is looked at twice.
bool pool::wait_until_drained(const time_point* deadline) {
  u32 from = 0;
  for (;;) {
    task_record* r = nullptr;
    {
      const std::lock_guard lock(mutex_);
      r = first_unresolved(from);
      if (r != nullptr) look_at(*r);
    }
    if (r == nullptr) return true;
    // Bounded: the record may be another task's by the time we sleep, and its slot another
    // record's.
    time_point until = std::chrono::steady_clock::now() + duration(50ms);
    if (deadline != nullptr && *deadline < until) until = *deadline;
    r->wait_until(&until);
    if (deadline != nullptr && std::chrono::steady_clock::now() >= *deadline) return false;
  }
}

// Under mutex_: nothing is submitted meanwhile, so a record that is READY stays that task. Needs no
// memory.
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
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    usual_ = false;
    if (o.cancel_futures) cancel_pending();
    // From a report that found no other thread: the supervisor does not wait for itself.
    if (std::this_thread::get_id() == supervisor_.get_id()) may_wait = false;
  }
  wake_supervisor();
  if (!may_wait) return;
  std::optional<time_point> deadline;
  if (o.timeout) deadline = detail::deadline_after(*o.timeout);
  if (!wait_until_drained(deadline ? &*deadline : nullptr)) signal_workers(SIGKILL);
  wake_supervisor();
  // The supervisor may be busy, with the start of a server perhaps, or hear nothing any more. So
  // each turn looks at all that can end the wait.
  std::unique_lock lock(mutex_);
  while (!ended_) {
    const time_point now = std::chrono::steady_clock::now();
    if (deadline && now >= *deadline && !give_up_at_) {
      doom(
          SIGKILL);  // an initializer or a finalizer that does not end, or a worker that is stopped
      wake_->signal();
    }
    if (give_up_at_ && now >= *give_up_at_) {
      give_up_in_time();
      return;  // the supervisor ends by itself
    }
    time_point until = now + duration(longest_slice);
    if (deadline && !give_up_at_) until = std::min(until, *deadline);
    if (give_up_at_) until = std::min(until, *give_up_at_);
    ended_cv_.wait_until(lock,
                         std::chrono::time_point_cast<std::chrono::steady_clock::duration>(until));
  }
  if (supervisor_.joinable()) supervisor_.join();
}

// terminate_workers and kill_workers: what waits is cancelled, what runs dies, nothing is replaced.
void pool::signal_workers(int signal) {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    usual_ = false;
    cancel_pending();
    doom(signal);
  }
  wake_supervisor();
}

void pool::doom(int signal) {
  doomed_with_ = signal;
  if (signal == SIGKILL && !give_up_at_) {
    give_up_at_ = std::chrono::steady_clock::now() + duration(shutdown_grace);
  }
  signal_running(signal);
}

void pool::give_up_in_time() noexcept {
  give_up(
      "the pool's workers were killed, and are not known to be dead some seconds later: they may "
      "run "
      "as another user, be frozen or be stuck in the kernel, or their fork server does not answer");
}

void pool::signal_running(int signal) {
  for (u32 i = 0; i < seats_.size(); ++i) {
    if (seats_[i].phase != seat_phase::empty) {
      os::announce_signal(region_.line(i).signals, signal);
      server_->signal_worker({i, seats_[i].incarnation}, signal);
    }
  }
}

void pool::kill_worker_of(task_record& r, u64 before) noexcept {
  const std::lock_guard lock(mutex_);
  u64 word = 0;
  // Swept in the meantime: the worker is dead.
  if (!r.load(word) || shm::phase_of(word) != shm::task_phase::kill) return;
  const u32 index = shm::worker_of(before);
  if (!is_possible(r, word)) {
    // A task has overwritten which worker it is.
    lose(r, kept_error([] { return cancelled_error(); }, out_of_memory_));
    return;
  }
  server_->signal_worker({index, seats_[index].incarnation}, SIGKILL);
}

void pool::note_death(const death_record& r) noexcept {
  ++crashed_;
  if (!options_.on_worker_death) return;
  try {
    reports_.push_back(r);
  } catch (const std::bad_alloc&) {
    // The task's own future says it; the report is lost.
  }
}

void pool::send_reports() {
  std::vector<death_record> reports;
  {
    const std::lock_guard lock(mutex_);
    reports.swap(reports_);
  }
  for (const death_record& r : reports) {
    try {
      const auto report = [call = options_.on_worker_death, on_error = options_.on_error, r] {
        try {
          call(worker_crashed(r));
        } catch (...) {
          report_to(on_error, std::current_exception());
        }
      };
      if (!post(report)) report();  // also a thread of the pool
    } catch (const std::bad_alloc&) {
      continue;  // as in note_death
    }
  }
}

void pool::report(std::exception_ptr e) noexcept { report_to(options_.on_error, std::move(e)); }

pool_stats pool::stats() {
  const std::lock_guard lock(mutex_);
  pool_stats out;
  std::vector<bool> busy(seats_.size());
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    const task_record* r = record_at(i);
    u64 word = 0;
    if (!r->load(word)) continue;
    const shm::task_phase phase = shm::phase_of(word);
    if (phase == shm::task_phase::ready) ++out.pending;
    if (phase == shm::task_phase::claimed || phase == shm::task_phase::kill) {
      ++out.running;
      if (shm::worker_of(word) < busy.size()) busy[shm::worker_of(word)] = true;
    }
  }
  for (u32 i = 0; i < seats_.size(); ++i) {
    const seat& s = seats_[i];
    worker_stats w;
    w.index = static_cast<int>(i);
    w.pid = s.pid;
    w.tasks_done = s.tasks_before;
    w.state = worker_state::ended;
    if (s.phase != seat_phase::empty) {
      const shm::worker_line& line = region_.line(i);
      w.tasks_done += line.tasks.load(std::memory_order_relaxed);
      w.state = s.phase == seat_phase::starting || line.ready.load() != 1 ? worker_state::starting
                : busy[i]                                                 ? worker_state::busy
                                                                          : worker_state::idle;
    }
    out.workers.push_back(w);
  }
  out.done = submitted_ - std::min(submitted_, out.pending + out.running);
  out.failed = crashed_;
  out.restarts = restarts_;
  return out;
}

void pool::finish_all(bool cancel) noexcept {
  if (registries.existing() == nullptr) return;
  registry& all = all_pools();
  std::vector<pool*> unwanted;
  for (;;) {
    pool* next = nullptr;
    {
      const std::lock_guard lock(all.mutex);
      for (pool* p : all.pools) {
        // Its supervisor may be its last owner: one more, until we are done with it.
        if (!p->try_own()) continue;
        const std::unique_lock inner(p->mutex_);
        if (!p->ended_ && !p->given_up_ && next == nullptr) {
          next = p;
        } else {
          unwanted.push_back(p);
        }
      }
    }
    for (pool* p : unwanted) p->disown();
    unwanted.clear();
    if (next == nullptr) return;
    try {
      next->shutdown({.cancel_futures = cancel});
    } catch (...) {
      return;  // the pool's processes die with this one
    }
    next->disown();
  }
}

}  // namespace procpool::parent

namespace procpool::detail {
namespace {

bool is_here(const task_target& to) noexcept {
  if (to.pool != nullptr) return to.pool->is_here();
  return to.here != nullptr && to.here->is_here();
}

}  // namespace

void throw_unusable(bool inherited) {
  if (!inherited) {
    throw nested_use_error(
        "executors can neither be made nor used inside a task (this one was made there, or in a "
        "process that a task has forked): only the program itself has workers and threads; return "
        "what is to be done to the program, which submits it");
  }
  if (runtime::current_role() == runtime::process_role::parent) {
    throw nested_use_error(
        "this executor belongs to the process that this one was forked from, whose workers and "
        "threads are not here: make a new executor in this process");
  }
  throw nested_use_error(
      "executors cannot be used inside a task, and this one belongs to the program, whose workers "
      "and threads are not here: return what is to be done to the program, which submits it");
}

pool_ref::pool_ref(pool_options options, run_in where) : uncaught_(std::uncaught_exceptions()) {
  // A static executor is constructed in servers and workers too: there it does nothing.
  if (runtime::current_role() != runtime::process_role::parent) return;
  runtime::install_fork_handlers();
  if (where == run_in::caller || parent::wants_inline()) {
    target_.here = new parent::inline_pool(parent::checked(std::move(options)));
  } else {
    target_.pool = new parent::pool(std::move(options));
  }
}

pool_ref::~pool_ref() {
  // In a copy of the process its threads and workers are not there.
  if (!is_here(target_)) return;
  if (target_.here != nullptr) target_.here->abandon(!let_go_);
  if (target_.pool == nullptr) return;
  if (!let_go_) {
    try {
      target_.pool->shutdown({.cancel_futures = std::uncaught_exceptions() > uncaught_});
    } catch (...) {
      target_.pool->report(std::current_exception());
    }
  }
  target_.pool->abandon();
}

task_target pool_ref::use() const {
  if (!is_here(target_)) [[unlikely]]
    throw_unusable(target_.pool != nullptr || target_.here != nullptr);
  return target_;
}

int pool_ref::max_workers() const {
  const task_target to = use();
  return to.pool != nullptr ? to.pool->max_workers() : to.here->max_workers();
}

void pool_ref::shutdown(const shutdown_options& options) {
  let_go_ = !options.wait;
  const task_target to = use();
  if (to.pool != nullptr) {
    to.pool->shutdown(options);
  } else {
    to.here->shutdown(options.wait);
  }
}

void pool_ref::signal_workers(int signal) {
  const task_target to = use();
  if (to.pool != nullptr) {
    to.pool->signal_workers(signal);
  } else {
    to.here->shutdown(false);  // nothing runs but what its caller waits for
  }
}

pool_stats pool_ref::stats() const {
  const task_target to = use();
  return to.pool != nullptr ? to.pool->stats() : to.here->stats();
}

time_point deadline_after(duration d) {
  const time_point now = std::chrono::steady_clock::now();
  if (!(d > duration::zero())) return now;  // also not a number
  const duration room = duration(4e9);      // steady_clock counts nanoseconds in 63 bits
  return now + std::min(d, room);
}

void throw_no_state() {
  throw invalid_state_error(
      "this future holds no task: it was moved from, or its result was taken");
}
void throw_wait_timeout() {
  throw timeout_error("the task is not done yet; it goes on, and the future stays valid");
}

}  // namespace procpool::detail
