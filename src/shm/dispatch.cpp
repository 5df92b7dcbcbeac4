#include "shm/dispatch.hpp"

#include <algorithm>
#include <bit>
#include <chrono>

#include "base/cycle_clock.hpp"
#include "os/futex.hpp"

namespace procpool::shm {
namespace {

using std::chrono::microseconds;

constexpr u64 spin_us = 50;  // about the cost of sleeping and waking up
constexpr u64 prefetch_ahead = 4;
constexpr u64 gather_ns = 1000, worth_gathering = 5;
constexpr u32 rarest_try = 4096;
constexpr microseconds shortest_nap{50}, longest_nap{400};
constexpr std::chrono::seconds longest_sleep{1};
constexpr unsigned spinning_shift = 0, watchdog_shift = 16;
constexpr u64 spinning_mask = 0xffff, watchdog_mask = 0xffff0000;

}  // namespace

bool roster::appoint() const {
  const control_block& c = region_->control();
  for (;;) {
    const std::optional<u32> seat = some_sleeper();
    if (!seat) return false;
    u64 r = roles();
    unsigned role = 0;
    if ((r & spinning_mask) != 0) {
      if ((r & watchdog_mask) != 0) return false;
      role = watchdog_shift;
    }
    // seq_cst: ordered with the sleeper's set_asleep and its look at the roles
    if (region_->control().roles.compare_exchange_strong(r, r | u64{*seat + 1} << role)) {
      if (wake(*seat)) return true;
      // The sleeper woke by itself. It must not keep the role: it may be busy, have the other role,
      // or be dead. Another sleeper is appointed.
      drop(role, *seat);
    }
    // The roles changed, perhaps by a worker about to sleep: try again as long as there is work.
    if (c.head.load() == c.tail.load()) return false;
  }
}

u32 roster::awake() const {
  const control_block& c = region_->control();
  u32 asleep = has_watchdog() ? 1 : 0;
  for (u32 group = 0; group * 64 < region_->workers(); ++group) {
    // relaxed: the bits may change at any time
    asleep += static_cast<u32>(std::popcount(c.asleep[group].load(std::memory_order_relaxed)));
  }
  return region_->workers() - std::min(asleep, region_->workers());
}

bool roster::wake(u32 seat) const {
  if (!clear_asleep(seat)) return false;
  worker_block& block = region_->worker(seat);
  block.futex.store(1);
  os::futex_wake(block.futex, 1);
  return true;
}

void roster::wake_all() const {
  for (u32 seat = 0; seat < region_->workers(); ++seat) {
    clear_asleep(seat);
    worker_block& block = region_->worker(seat);
    block.futex.store(1);
    os::futex_wake(block.futex, 1);
  }
}

void roster::set_asleep(u32 seat) const {
  // seq_cst: the worker's half of the Dekker pair; submit stores the tail, then reads `asleep`
  region_->control().asleep[seat / 64].fetch_or(u64{1} << (seat % 64));
}

bool roster::clear_asleep(u32 seat) const {
  const u64 bit = u64{1} << (seat % 64);
  return (region_->control().asleep[seat / 64].fetch_and(~bit) & bit) != 0;
}

bool roster::take(unsigned shift, u32 seat) const {
  std::atomic<u64>& roles = region_->control().roles;
  u64 r = roles.load();
  while ((r >> shift & 0xffffU) == 0) {
    if (roles.compare_exchange_weak(r, r | u64{seat + 1} << shift)) return true;
  }
  return (r >> shift & 0xffffU) == seat + 1;
}

void roster::seize_spinning(u32 seat) const {
  std::atomic<u64>& roles = region_->control().roles;
  u64 r = roles.load();
  u64 next = 0;
  do {
    next = (r & ~spinning_mask) | (seat + 1);
    if ((next & watchdog_mask) >> 16U == seat + 1) next &= ~watchdog_mask;
  } while (!roles.compare_exchange_weak(r, next));
}

void roster::drop_impossible_roles() const {
  std::atomic<u64>& roles = region_->control().roles;
  u64 r = roles.load();
  u64 good = 0;
  do {
    good = r & (spinning_mask | watchdog_mask);
    if ((good & spinning_mask) > region_->workers()) good &= ~spinning_mask;
    if ((good & watchdog_mask) >> watchdog_shift > region_->workers()) good &= ~watchdog_mask;
  } while (good != r && !roles.compare_exchange_weak(r, good));
}

bool roster::is_asleep(u32 seat) const {
  // seq_cst: ordered between two reads of a state word
  return (region_->control().asleep[seat / 64].load() >> (seat % 64) & 1U) != 0;
}

void roster::drop_roles(u32 seat) const {
  drop(spinning_shift, seat);
  drop(watchdog_shift, seat);
}

void roster::drop(unsigned role, u32 seat) const {
  std::atomic<u64>& roles = region_->control().roles;
  u64 r = roles.load();
  while ((r >> role & 0xffffU) == seat + 1) {
    if (roles.compare_exchange_weak(r, r & ~(u64{0xffff} << role))) return;
  }
}

work_source::work_source(const region& r, u32 seat, std::function<bool()> idle)
    : region_(&r),
      roster_(r),
      seat_(seat),
      idle_(std::move(idle)),
      cycles_per_us_(std::max<u64>(1, r.header().cycles_per_us)),
      // With one CPU, spinning only keeps the parent from running.
      spin_cycles_(r.header().cpus > 1 ? spin_us * cycles_per_us_ : 0),
      long_cycles_(std::max<u64>(1, long_task_ns * cycles_per_us_ / 1000)) {}

bool work_source::stopping() const {
  // acquire: the ring's last hints come with the flag
  return region_->control().stopping.load(std::memory_order_acquire) != 0;
}

slot* work_source::next() {
  for (;;) {
    if (slot* s = try_claim()) return s;
    last_end_ = 0;
    if (stopping()) {
      // The parent adds no hint after it has set the flag, so an empty ring stays empty.
      const control_block& c = region_->control();
      if (c.head.load() >= c.tail.load()) return nullptr;
      continue;
    }
    if (spin()) continue;
    sleep();
    // acquire: a task that was submitted before the parent said so is seen
    if (region_->worker(seat_).leave.load(std::memory_order_acquire) != 0) {
      slot* const last = try_claim();
      if (last == nullptr) roster_.drop_roles(seat_);
      return last;
    }
  }
}

// One pass through the ring: until a task is claimed, or the ring is empty.
slot* work_source::try_claim() {
  control_block& c = region_->control();
  for (;;) {
    u64 head = c.head.load(std::memory_order_relaxed);
    if (head >= tail_) {
      // Read only here, since the parent writes that line with each task. acquire: pairs with the
      // exchange in submit; makes the hints up to the tail and their slots visible.
      tail_ = c.tail.load(std::memory_order_acquire);
      if (head >= tail_) return nullptr;
      if (tail_ - head > ring_entries) {
        // A task wrote here by mistake. The parent knows the right value, and restores it.
        tail_ = head;
        return nullptr;
      }
    }
    const u64 hint = region_->hint(head).load(std::memory_order_relaxed);
    // Losing is fine: another worker, or the parent's compaction, took this hint.
    if (!c.head.compare_exchange_strong(head, head + 1, std::memory_order_acquire)) continue;
    const auto index = static_cast<u32>(hint & slot_index_mask);
    if (index >= max_slots) continue;
    prefetch(head + prefetch_ahead);
    slot& s = region_->at(index);
    const u64 generation = generation_of(hint);
    const u64 ready = make_word(generation, task_phase::ready);
    u64 word = ready;
    bool mine = false;
    do {
      // acquire: the payload was written before READY. Flags may appear meanwhile: try again.
      mine = s.word.compare_exchange_strong(
          word, make_word(generation, task_phase::claimed, seat_, word & flags_mask),
          std::memory_order_acquire);
    } while (!mine && (word & ~flags_mask) == ready);
    if (!mine) continue;  // cancelled, or the hint was a duplicate
    task_begin_ = last_end_ != 0 ? last_end_ : base::cycles();
    return &s;
  }
}

// Fetching a slot from the parent's cache takes as long as an empty task: fetching several at once
// hides that. Not while tasks are long, when another worker may take that hint.
void work_source::prefetch(u64 position) {
  if (position >= tail_ || usual_cycles_ >= long_cycles_) return;
  const u64 hint = region_->hint(position).load(std::memory_order_relaxed);
  base::prefetch_to_write(&region_->at(static_cast<u32>(hint & slot_index_mask) % max_slots));
}

void work_source::share_backlog() {
  if (usual_cycles_ < long_cycles_) return;
  const control_block& c = region_->control();
  // relaxed: the parent kicks for a hint that comes a moment later
  if (c.tail.load(std::memory_order_relaxed) > c.head.load(std::memory_order_relaxed)) {
    roster_.kick();
  }
}

void work_source::finished() {
  last_end_ = base::cycles();
  last_cycles_ = last_end_ - task_begin_;
  usual_cycles_ = usual_cycles_ == 0 ? last_cycles_ : (7 * usual_cycles_ + last_cycles_) / 8;
  // Published after it has doubled or halved: a store per task would move the line between cores.
  if (usual_cycles_ / 2 <= published_cycles_ && published_cycles_ / 2 <= usual_cycles_) return;
  published_cycles_ = usual_cycles_;
  const u64 ns = usual_cycles_ * 1000 / cycles_per_us_;
  // relaxed: the value guides waiting and implies nothing about other memory
  region_->control().typical_task_ns.store(static_cast<u32>(std::clamp<u64>(ns, 1, 1'000'000'000)),
                                           std::memory_order_relaxed);
}

bool work_source::has_work() const {
  const control_block& c = region_->control();
  // relaxed: decides only whether to try; try_claim acquires
  return c.tail.load(std::memory_order_relaxed) != c.head.load(std::memory_order_relaxed);
}

// The spinning worker watches the ring for a while. True: there is a task, or the roles changed.
bool work_source::spin() {
  if (!roster_.is_spinning(seat_) && !roster_.take_spinning(seat_)) return false;
  if (backoff_.may_spin() && spin_cycles_ != 0) {
    if (gathers_ || --try_gather_in_ == 0) gather();
    const u64 end = base::cycles() + spin_cycles_;
    do {
      base::relax();
      if (has_work()) {
        backoff_.found();
        return true;
      }
    } while (base::cycles() < end);
    backoff_.failed();
  }
  if (has_work()) return true;
  roster_.drop_roles(seat_);
  return false;
}

// Where tasks stream in as fast as this worker runs them, each read takes the line that the parent
// is writing, so each task costs both sides a transfer between their caches. After a pause without
// reading, several tasks have gathered. Whether that is so is tested now and then. Without other
// load it is worth 1.2 times as many empty tasks with one worker: docs/decisions/who-looks.md.
void work_source::gather() {
  const u64 end = base::cycles() + gather_ns * cycles_per_us_ / 1000;
  do base::relax();
  while (base::cycles() < end);
  const control_block& c = region_->control();
  // relaxed: an estimate. The head is read first, so that it is never beyond the tail.
  const u64 head = c.head.load(std::memory_order_relaxed);
  const u64 there = c.tail.load(std::memory_order_relaxed) - head;
  if (there >= worth_gathering) {
    gathers_ = true;
    next_try_ = first_try_;
  } else {
    next_try_ = gathers_ ? first_try_ : std::min(2 * next_try_, rarest_try);
    gathers_ = false;
    try_gather_in_ = next_try_;
  }
}

void work_source::sleep() {
  worker_block& me = region_->worker(seat_);
  const control_block& c = region_->control();
  me.futex.store(0);
  roster_.set_asleep(seat_);
  // Changes since the last look may have found no worker asleep: look again, with the bit set.
  const bool work = c.head.load() != c.tail.load();
  bool watch = roster_.is_watchdog(seat_);
  if (roster_.is_spinning(seat_) || (work && !roster_.has_spinning())) {
    roster_.clear_asleep(seat_);
    return;
  }
  if (!watch && work && !roster_.has_watchdog()) watch = roster_.take_watchdog(seat_);
  bool long_idle = false;
  if (!watch && !stopping()) {
    long_idle = os::futex_wait(me.futex, 0, longest_sleep) == os::futex_result::timed_out;
  }
  roster_.clear_asleep(seat_);
  if (roster_.is_watchdog(seat_)) {
    keep_watch();
  } else if (long_idle) {
    while (!has_work() && idle_()) continue;
  }
}

void work_source::keep_watch() {
  worker_block& me = region_->worker(seat_);
  const control_block& c = region_->control();
  std::chrono::nanoseconds nap = shortest_nap;
  // relaxed, except the tail: they guide waiting. acquire: the tail may lead to a claim
  u64 head = c.head.load(std::memory_order_relaxed);
  u64 since = base::cycles();
  const u32 typical = c.typical_task_ns.load(std::memory_order_relaxed);
  const bool long_tasks = typical == 0 || typical >= long_task_ns;
  for (;;) {
    u64 waiting = c.tail.load(std::memory_order_acquire) - c.head.load(std::memory_order_relaxed);
    bool join = waiting != 0 && long_tasks;
    if (!join) {
      me.futex.store(0);
      if (stopping()) return;
      os::futex_wait(me.futex, 0, nap);
      if (stopping()) return;
      const u64 now = base::cycles();
      const u64 head_now = c.head.load(std::memory_order_relaxed);
      const u64 done = head_now - head;
      const u64 ns = (now - since) * 1000 / cycles_per_us_;
      waiting = c.tail.load(std::memory_order_acquire) - head_now;
      if (waiting == 0 && done == 0) {
        roster_.drop_roles(seat_);
        return;
      }
      join = waiting != 0 && done * long_task_ns < ns;
      if (!join) nap = std::min<std::chrono::nanoseconds>(nap * 2, longest_nap);
      head = head_now;
      since = now;
    }
    if (join) {
      roster_.seize_spinning(seat_);
      if (waiting > 1) roster_.kick();
      return;
    }
  }
}

}  // namespace procpool::shm
