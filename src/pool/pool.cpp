// Constructor and destructor, reports and statistics of a pool; shutdown.cpp has how it ends.
#include "pool/pool.hpp"

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
#include "pool/worker_settings.hpp"
#include "procpool/errors.hpp"
#include "runtime/at_exit.hpp"
#include "runtime/process_role.hpp"

namespace procpool::parent {
namespace {

using futures::kept_error;
using shm::u32;
using shm::u64;
using namespace std::chrono_literals;

struct registry {
  base::mutex mutex;
  std::vector<pool*> pools GUARDED_BY(mutex);
};
constinit base::per_process<registry> registries;
registry& all_pools() { return registries.get(); }

}  // namespace

pool_options checked(pool_options o) {
  if (o.max_workers &&
      (*o.max_workers < 1 || *o.max_workers > static_cast<int>(shm::max_workers))) {
    throw std::invalid_argument("max_workers must be between 1 and " +
                                std::to_string(shm::max_workers) + ", not " +
                                std::to_string(*o.max_workers));
  }
  if (o.max_tasks_per_child && *o.max_tasks_per_child < 1) {
    throw std::invalid_argument("max_tasks_per_child must be at least 1, not " +
                                std::to_string(*o.max_tasks_per_child));
  }
  if (o.idle_timeout && !(*o.idle_timeout >= duration(1))) {
    throw std::invalid_argument("idle_timeout must be at least 1 second");
  }
  if (o.max_memory_growth && *o.max_memory_growth == 0) {
    throw std::invalid_argument("max_memory_growth must be at least 1");
  }
  if (o.max_pending_bytes && *o.max_pending_bytes == 0) {
    throw std::invalid_argument("max_pending_bytes must be at least 1");
  }
  check(o.workers);
  if (!o.max_workers) {
    o.max_workers = std::min(os::cpu_count(), static_cast<int>(shm::max_workers));
  }
  return o;
}

pool::pool(pool_options options)
    : options_(checked(std::move(options))),
      region_(shm::region::create(static_cast<u32>(*options_.max_workers))),
      view_(region_.fd(), region_.arena_offset()),
      roster_(region_),
      cpus_(static_cast<u32>(os::cpu_count())),
      rows_(region_.workers()),
      blocks_(region_.fd(), region_.partition(0), region_.partition(1)) {
  shm::region_header& h = region_.header();
  h.cycles_per_us = base::cycles_per_us();
  h.cpus = cpus_;
  h.tasks_per_worker = static_cast<u32>(options_.max_tasks_per_child.value_or(0));
  set_hook(options_.initializer, h.initializer_code, h.initializer_block, h.initializer_length);
  set_hook(options_.finalizer, h.finalizer_code, h.finalizer_block, h.finalizer_length);
  shm::worker_settings settings = settings_for(options_, cpus_);
  store(shm::encode_settings(settings), h.settings_block, h.settings_length);
  environment_ = std::move(settings.environment);
  if (options_.capture_stderr) stderr_ = stderr_relay::make();
  server_ = start_server();
  for (u32 i = 0; i < region_.workers(); ++i) start_seat(i);
  wake_.emplace();
  try {
    parent_registry::instance().add_waker(*wake_);
    {
      completion_hub& hub = completion_hub::instance();
      const base::lock_guard lock(hub.mutex());
      hub.attach(*this);
    }
    {
      registry& all = all_pools();
      const base::lock_guard lock(all.mutex);
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
  // A worker that is not proven dead may still change the counts in its row: the row is not reused.
  for (u32 i = 0; i < crew_.size(); ++i) {
    if (crew_.is_taken(i)) rows_.exchange(i, 0);
  }
}

void pool::forget() noexcept {
  if (parent_registry* all = parent_registry::existing()) all->remove_waker(*wake_);
  {
    registry& all = all_pools();
    const base::lock_guard lock(all.mutex);
    std::erase(all.pools, this);
  }
  completion_hub& hub = completion_hub::instance();
  const base::lock_guard lock(hub.mutex());
  hub.detach(*this);
}

void pool::set_hook(const invocation& hook, u64& code, u64& block, u64& length) {
  if (!hook) return;
  code = detail::to_code_ref(reinterpret_cast<const void*>(hook.thunk())).bits;
  store(hook.task(), block, length);
}

void pool::store(const detail::wire_buffer& bytes, u64& block, u64& length) {
  length = bytes.size();
  if (length == 0) return;
  const shm::block b = blocks_.allocate(length);
  std::memcpy(view_.at(b.offset, length), bytes.data(), length);
  block = b.offset;
}

void pool::kill_worker_of(task_record& r, u64 before) noexcept {
  const base::lock_guard lock(mutex_);
  u64 word = 0;
  // The task was swept in the meantime: the worker is dead.
  if (!r.load(word) || shm::phase_of(word) != shm::task_phase::kill) return;
  const u32 index = shm::worker_of(before);
  if (!is_possible(r, word)) {
    // A task has overwritten the worker's number in the word.
    lose(r, kept_error([] { return cancelled_error(); }, out_of_memory_));
    return;
  }
  crew_.kill_worker(index);
}

// A cancellation of a task whose word says KILL. If its time limit has ended it, it is not retried
// any more. False if the word has changed: the sweep was quicker.
bool pool::take_over_kill(task_record& r) noexcept {
  const base::lock_guard lock(mutex_);
  u64 word = 0;
  if (!r.load(word) || shm::phase_of(word) != shm::task_phase::kill) return false;
  // relaxed: changed and read under the mutex, except for a guess in cancel()
  r.overrun.store(no_generation, std::memory_order_relaxed);
  return true;
}

void pool::note_death(const death_record& r) noexcept {
  ++crashed_;
  if (!options_.on_worker_death) return;
  try {
    reports_.push_back(r);
  } catch (const std::bad_alloc&) {
    // The report is lost; the task's future still gets the error.
  }
}

void pool::send_reports() {
  std::vector<death_record> reports;
  {
    const base::lock_guard lock(mutex_);
    reports.swap(reports_);
  }
  for (const death_record& r : reports) {
    try {
      const auto report = [call = options_.on_worker_death, on_error = options_.on_error, r] {
        try {
          if (r.time_limit != duration::zero()) {
            call(task_timeout(r));
          } else {
            call(worker_crashed(r));
          }
        } catch (...) {
          futures::report_unobserved(on_error, std::current_exception());
        }
      };
      if (!futures::post(report)) report();  // this thread belongs to the pool, too
    } catch (const std::bad_alloc&) {
      continue;  // as in note_death
    }
  }
}

void pool::report(std::exception_ptr e) noexcept {
  futures::report_unobserved(options_.on_error, std::move(e));
}

pool_stats pool::stats() {
  const base::lock_guard lock(mutex_);
  pool_stats out;
  std::vector<bool> busy(crew_.size());
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
  for (u32 i = 0; i < crew_.size(); ++i) out.workers.push_back(crew_.stats_of(i, busy[i]));
  out.done = submitted_ - std::min(submitted_, out.pending + out.running);
  out.failed = crashed_;
  out.restarts = crew_.restarts();
  return out;
}

void pool::finish_all(bool cancel) noexcept {
  if (registries.existing() == nullptr) return;
  registry& all = all_pools();
  std::vector<pool*> unwanted;
  for (;;) {
    pool* next = nullptr;
    {
      const base::lock_guard lock(all.mutex);
      for (pool* p : all.pools) {
        // Its supervisor may be its last owner: this thread becomes another one meanwhile.
        if (!p->try_retain()) continue;
        const base::unique_lock inner(p->mutex_);
        if (!p->ended_ && !p->given_up_ && next == nullptr) {
          next = p;
        } else {
          unwanted.push_back(p);
        }
      }
    }
    for (pool* p : unwanted) p->release();
    unwanted.clear();
    if (next == nullptr) return;
    try {
      next->shutdown({.cancel_futures = cancel});
    } catch (...) {
      return;  // the pool's processes die with this one
    }
    next->release();
  }
}

}  // namespace procpool::parent
