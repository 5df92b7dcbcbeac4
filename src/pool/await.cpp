// Waiting for a task and reading its outcome: the owner of a future loads the state word, sleeps on
// it, pins the outcome while it is read, and releases the task.
#include <algorithm>
#include <limits>
#include <utility>

#include "futures/adaptive_spinner.hpp"
#include "os/futex.hpp"
#include "pool/pool.hpp"

namespace procpool::parent {
namespace {

using detail::task_status;
using futures::adaptive_spinner;
using futures::longest_sleep;
using futures::time_until;
using shm::task_phase;
using shm::u32;
using shm::u64;
using namespace std::chrono_literals;

// A slot comes from a worker's cache: several transfers at once hide the latency.
constexpr u64 prefetch_ahead = 4;
constexpr u64 few_behind = 8;
constexpr u64 quicker_than_reading_ns = 400;
constexpr std::chrono::nanoseconds shortest_pause = 50us, longest_pause = 200us;

}  // namespace

bool task_record::load(u64& word) const noexcept {
  const shm::slot* s = slot.load(std::memory_order_acquire);
  if (s == nullptr) return false;
  // acquire: DONE publishes the outcome
  word = s->word.load(std::memory_order_acquire);
  return shm::generation_of(word) == generation;
}

bool task_record::resolved() const noexcept {
  // acquire, three times: as in load()
  const shm::slot* s = slot.load(std::memory_order_acquire);
  if (s == nullptr) return true;
  const u64 word = s->word.load(std::memory_order_acquire);
  if (shm::generation_of(word) == generation) return shm::is_resolved(word);
  // The task was harvested meanwhile, or its word is damaged and the pool has not noticed yet.
  return slot.load(std::memory_order_acquire) != s;
}

task_status task_record::status() const {
  detail::check_home(home());
  u64 word = 0;
  // acquire: stored before the word, and cleared only when the task has no owner left
  if (was_cancelled.load(std::memory_order_acquire) && resolved()) return task_status::cancelled;
  if (!load(word)) return task_status::finished;
  switch (shm::phase_of(word)) {
    case task_phase::ready:
      return task_status::pending;
    case task_phase::claimed: {
      // acquire: as in load()
      const shm::slot* s = slot.load(std::memory_order_acquire);
      if (s == nullptr) return task_status::finished;  // harvested since
      const u32 stamp = s->started.load(std::memory_order_relaxed);
      return stamp == shm::started_stamp(word) ? task_status::running : task_status::pending;
    }
    case task_phase::kill:
      return task_status::running;
    case task_phase::cancelled:
      return task_status::cancelled;
    default:
      return task_status::finished;
  }
}

bool task_record::set_flag(u64 flag) noexcept {
  // acquire, twice: as in load()
  shm::slot* s = slot.load(std::memory_order_acquire);
  if (s == nullptr) return false;
  u64 word = s->word.load(std::memory_order_acquire);
  do {
    if (shm::generation_of(word) != generation || shm::is_resolved(word)) return false;
    // seq_cst: before this thread's sleep or drain; the worker's CAS to DONE sees the flag or fails
  } while ((word & flag) == 0 && !s->word.compare_exchange_weak(word, word | flag));
  return true;
}

bool task_record::wait_until(const time_point* deadline) {
  detail::check_home(home());
  if (resolved()) return true;
  if (deadline != nullptr && *deadline <= std::chrono::steady_clock::now()) return resolved();
  const std::chrono::nanoseconds pause = owner->pause_for_backlog();
  if (pause != 0ns) {
    if (rest(pause, deadline)) return true;
  } else {
    const auto check = [this] { return resolved(); };
    const bool many = owner->behind(*this) > few_behind;
    if (adaptive_spinner::of_this_thread().spin(check, owner->cpus_saturated(), many)) return true;
  }
  for (;;) {
    if (!set_flag(shm::waiter_flag) && resolved()) return true;
    const std::chrono::nanoseconds left = time_until(deadline, longest_sleep);
    if (left == 0ns) return resolved();
    // Loaded once: a sweep may give the slot to another record at any time. The slot stays mapped,
    // and the sleep is bounded.
    shm::slot* s = slot.load(std::memory_order_acquire);
    if (s == nullptr) return true;
    const u64 word = s->word.load(std::memory_order_acquire);
    if (resolved()) return true;
    const os::futex_result slept = os::futex_wait(s->word, static_cast<u32>(word), left);
    if (slept == os::futex_result::timed_out) owner->look_after(*this);
  }
}

void pool::prefetch_behind(const task_record& r) const noexcept {
  // relaxed: a guess. The hint may be stale or damaged; any address is allowed.
  const u64 position = r.hint_position.load(std::memory_order_relaxed) + prefetch_ahead;
  const u64 hint = region_.hint(position).load(std::memory_order_relaxed);
  base::prefetch_to_write(&region_.at(static_cast<u32>(hint & shm::slot_index_mask)));
}

// Sleeps without requesting a wake-up. True if the task is resolved afterwards.
bool task_record::rest(std::chrono::nanoseconds pause, const time_point* deadline) noexcept {
  pause = time_until(deadline, pause);
  shm::slot* s = slot.load(std::memory_order_acquire);
  if (s == nullptr || resolved()) return true;
  const u64 word = s->word.load(std::memory_order_acquire);
  if (shm::is_resolved(word)) return resolved();
  os::futex_wait(s->word, static_cast<u32>(word), pause);
  return resolved();
}

// The number of hints that were put after this task's.
u64 pool::behind(const task_record& r) const noexcept {
  // relaxed: both are guesses
  return region_.control().tail.load(std::memory_order_relaxed) -
         r.hint_position.load(std::memory_order_relaxed);
}

bool pool::cpus_saturated() const noexcept { return roster_.awake() >= cpus_; }

// While workers occupy all CPUs and many tasks are pending, a waiting thread sleeps for an eighth
// of the time that the pending tasks take: spinning would take the CPU from a worker, and a wake-up
// for each result would cost as much as a short task. 0: the thread may spin.
std::chrono::nanoseconds pool::pause_for_backlog() const noexcept {
  if (!cpus_saturated()) return 0ns;
  const shm::control_block& c = region_.control();
  // relaxed: all of these are guesses
  const u64 head = c.head.load(std::memory_order_relaxed);
  const u64 tail = c.tail.load(std::memory_order_relaxed);
  if (tail < head + few_behind) return 0ns;
  const u64 typical = c.typical_task_ns.load(std::memory_order_relaxed);
  if (typical < quicker_than_reading_ns) return 0ns;
  const auto pause = std::chrono::nanoseconds((tail - head) * typical / cpus_ / 8);
  return pause < shortest_pause ? 0ns : std::min(pause, longest_pause);
}

bool task_record::add_pin() noexcept {
  // acquire: `harvested` publishes the copy
  std::uint32_t before = pins.fetch_add(1, std::memory_order_acquire);
  while ((before & harvesting) != 0) {
    base::relax();
    before = pins.load(std::memory_order_acquire);
  }
  return (before & harvested) != 0;
}

detail::outcome_view task_record::wait_and_pin() {
  u64 word = 0;
  if (home().is_here() && load(word) && shm::is_resolved(word)) {
    owner->prefetch_behind(*this);
  } else {
    wait_until(nullptr);
  }
  return pin();
}

detail::outcome_view task_record::pin() {
  const bool is_saved = add_pin();
  u64 word = 0;
  if (!is_saved && load(word) && shm::phase_of(word) == task_phase::done) [[likely]] {
    // relaxed: load() has acquired the slot and, with DONE, its contents
    const shm::slot& s = *slot.load(std::memory_order_relaxed);
    // Each field is loaded once and checked; only the checked copy is used.
    const u64 length = s.length.load(std::memory_order_relaxed);
    const bool is_value =
        s.kind.load(std::memory_order_relaxed) == static_cast<u32>(shm::outcome_kind::value);
    if (is_value && s.block.load(std::memory_order_relaxed) == 0 && length <= shm::inline_bytes) {
      return {nullptr, s.bytes, length};
    }
  }
  return pin_slow(is_saved);
}

// release: this read happens before a harvest that finds no pins
void task_record::unpin() noexcept { pins.fetch_sub(1, std::memory_order_release); }

std::uint32_t task_record::elapsed_ns() const noexcept {
  u64 word = 0;
  // acquire: as in load(); `elapsed` relaxed: load() has acquired DONE
  const shm::slot* s = slot.load(std::memory_order_acquire);
  if (s == nullptr || !load(word) || shm::phase_of(word) != task_phase::done) return 0;
  return s->elapsed.load(std::memory_order_relaxed);
}

bool task_record::cancel(bool kill_running) {
  detail::check_home(home());
  // acquire: as in load()
  shm::slot* s = slot.load(std::memory_order_acquire);
  u64 word = 0;
  for (;;) {
    if (s == nullptr || !load(word)) return status() == task_status::cancelled;
    switch (shm::phase_of(word)) {
      case task_phase::ready:
        if (!s->word.compare_exchange_strong(word, shm::with_phase(word, task_phase::cancelled))) {
          break;
        }
        drop_argument_objects();
        owner->announce(*this);
        return true;
      case task_phase::claimed:
        if (!kill_running) return false;
        // Only the winner of this CAS kills the worker, which cannot take another task from here
        // on.
        if (!s->word.compare_exchange_strong(word, shm::with_phase(word, task_phase::kill))) break;
        owner->kill_worker_of(*this, word);
        return true;
      case task_phase::kill:
        if (!kill_running) {
          // relaxed: a guess; the worker is dying in any case
          return overrun.load(std::memory_order_relaxed) != generation;
        }
        if (owner->take_over_kill(*this)) return true;
        break;
      default:
        return status() == task_status::cancelled;
    }
  }
}

void task_record::release() noexcept {
  if (!home().is_here()) [[unlikely]]
    return;
  // acquire, and release for the other owners: all accesses of all owners happen before the end of
  // the record. The last owner leaves the count at 1, which marks the record as in use.
  u32 owners = references.load(std::memory_order_acquire);
  while (owners != 1) {
    if (references.compare_exchange_weak(owners, owners - 1, std::memory_order_acq_rel)) return;
  }
  u64 word = 0;
  if (load(word) && !shm::is_resolved(word)) {
    owner->drop(*this);
    return;
  }
  if ((word & shm::notify_flag) != 0) leave_list(word);
  finish_release();
}

// Whether an outcome may lie in a block.
bool task_record::has_block() const noexcept {
  const shm::slot* s = slot.load(std::memory_order_relaxed);
  return s != nullptr && (items != 0 || s->block.load(std::memory_order_relaxed) != 0);
}

// The next task of this record that has options needs no allocation then.
void task_record::shelve_extras() noexcept {
  constexpr std::size_t largest_label = 256;
  if (!extras->pieces.empty()) extras->pieces = {};
  extras->kept_bytes = 0;
  extras->label.clear();
  extras->retries = 0;
  extras->attempt = 1;
  extras->attempted = 0;
  if (extras->label.capacity() <= largest_label) {
    spare_extras = std::move(extras);
  } else {
    extras.reset();
  }
}

void task_record::finish_release() noexcept {
  // Waits for a thread that is copying the outcome; no other thread begins to copy it from here on.
  // Any pins are this thread's: no other reference to the task is left.
  u32 before = pins.load(std::memory_order_acquire);
  if (before == 0) before = pins.fetch_add(1, std::memory_order_acquire);
  while ((before & harvesting) != 0) {
    base::relax();
    before = pins.load(std::memory_order_acquire);
  }
  if (argument_objects.load(std::memory_order_relaxed) != nullptr) [[unlikely]]
    drop_argument_objects();
  u64 word = 0;
  if (!load(word) || !shm::is_resolved(word)) [[unlikely]]
    damaged = slot.load(std::memory_order_relaxed) != nullptr;
  if (names_objects(word) || outcome_objects) [[unlikely]]
    drop_outcome_objects(word);
  if (has_block()) put_back_result();
  error = nullptr;
  if (!saved.empty()) saved = {};
  saved_exception = false;
  if (extras) [[unlikely]]
    shelve_extras();
  // relaxed: the stores below release it
  was_cancelled.store(false, std::memory_order_relaxed);
  // release: from here on a sweep skips the record
  references.store(0, std::memory_order_release);
  // release: a harvest that finds no pins finds no references either
  pins.store(0, std::memory_order_release);
  owner->put_back(*this);
}

void task_record::report(std::exception_ptr e) noexcept { owner->report(std::move(e)); }

// The future is destroyed before its task is done: the thread that drains the completion frees the
// record.
void pool::drop(task_record& r) noexcept {
  // The record may be the last owner of the pool, which must not be deleted under the mutex.
  retain();
  {
    const base::lock_guard lock(completion_hub::instance().mutex());
    r.dropped = true;
    // relaxed: changed under the hub's mutex; a load without the mutex is only a guess
    const bool first = dropped_.fetch_add(1, std::memory_order_relaxed) == 0;
    if (first && parent_registry::any_made())
      wake_supervisor();  // the task may hold objects: see look_after_objects
    if (!r.set_flag(shm::notify_flag)) {
      // The task is done in the meantime; if its slot is on a done-list, this empties the list.
      drain();
      if (r.dropped) r.deliver();
    }
  }
  release();
}

void pool::announce(task_record& r) noexcept {
  u64 word = 0;
  if (!r.load(word)) return;
  // From here on a submit may harvest the record at any time; it has no slot then, and the harvest
  // sends the wake-up.
  shm::slot* s = r.slot.load();
  if ((word & shm::waiter_flag) != 0 && s != nullptr) {
    os::futex_wake(s->word, std::numeric_limits<int>::max());
  }
  if ((word & shm::notify_flag) == 0) return;
  completion_hub& hub = completion_hub::instance();
  const base::lock_guard lock(hub.mutex());
  r.deliver();
  hub.ring();
}

}  // namespace procpool::parent
