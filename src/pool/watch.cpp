#include "pool/watch.hpp"

#include <algorithm>

namespace procpool::parent {
namespace {

using shm::task_phase;
using shm::u32;
using shm::u64;
using namespace std::chrono_literals;

// The least limit of all tasks is computed at most so often.
constexpr duration count_pause = 1s;

}  // namespace

std::optional<time_point> watch::next_look() const noexcept {
  if (least_ == none) return std::nullopt;
  time_point next = looked_at_ + least_;
  for (const watched& w : seats_) {
    if (w.begin != 0) next = std::min(next, w.end_at);
  }
  return next;
}

// The cycles are read first: if this thread loses its CPU in between, tasks seem younger.
void watch::begin_look() noexcept {
  cycles_ = base::cycles();
  looked_before_ = std::exchange(looked_at_, now());
  if (cycles_ < first_cycles_) {
    // The counter began anew, as some do while a machine is suspended.
    first_cycles_ = cycles_;
    first_time_ = looked_at_;
  }
}

// How long ago the cycle counter had this value; 0 if that is not known.
duration watch::elapsed_since(u64 begin) const noexcept {
  if (begin >= cycles_ || cycles_ == first_cycles_) return duration::zero();
  const double share =
      static_cast<double>(cycles_ - begin) / static_cast<double>(cycles_ - first_cycles_);
  // The last look found another stamp, or none.
  return std::min((looked_at_ - first_time_) * share, looked_at_ - looked_before_);
}

// The task of a stamp, if the worker of the seat runs it and it has a limit.
task_record* watch::running(u32 seat, u64 task, u64& word) const noexcept {
  const auto index = static_cast<u32>(task & shm::slot_index_mask);
  if (index >= region_.allocated_slots()) return nullptr;
  task_record* r = table_.at(index);
  const u64 generation = shm::generation_of(task);
  if (r == nullptr || r->generation != generation || r->limited != generation) return nullptr;
  // acquire: the claim, before other fields of the slot are read
  word = region_.at(index).word.load(std::memory_order_acquire);
  const u64 claimed = shm::make_word(generation, task_phase::claimed, seat);
  return (word & ~shm::flags_mask) == claimed ? r : nullptr;
}

task_record* watch::over_limit(u32 seat, u64& word) noexcept {
  const shm::run_stamp& stamp = region_.worker(seat).running;
  watched& known = seats_[seat];
  // acquire, twice: two equal values of `begin` belong to the `task` between them (layout.hpp)
  const u64 begin = stamp.begin.load(std::memory_order_acquire);
  const u64 task = stamp.task.load(std::memory_order_acquire);
  const bool whole = begin != 0 && stamp.begin.load(std::memory_order_relaxed) == begin;
  task_record* r = known.begin != 0 ? running(seat, known.task, word) : nullptr;
  // The stamp of the same task may have been overwritten: the first one counts.
  if (r == nullptr || (known.begin == no_stamp && whole && task == known.task)) {
    known = {};
    if (!whole) return nullptr;
    r = running(seat, task, word);
    if (r == nullptr) return nullptr;
    known = {begin, task, looked_at_ + (r->time_limit - elapsed_since(begin))};
  }
  if (looked_at_ < known.end_at) return nullptr;
  known = {};
  return r;
}

void watch::end_look() noexcept {
  if (looked_at_ - counted_at_ < count_pause) return;
  counted_at_ = looked_at_;
  least_ = none;
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    const task_record& r = *table_.at(i);
    if (r.limited != r.generation) continue;
    // relaxed: a task that is about to be resolved costs one more look
    const u64 word = region_.at(i).word.load(std::memory_order_relaxed);
    if (shm::generation_of(word) == r.generation && !shm::is_resolved(word)) {
      least_ = std::min(least_, r.time_limit);
      find_without_stamp(r, word);
    }
  }
}

// A worker has started the task and has no stamp: it is about to write the stamp, has just cleared
// it, or the task has overwritten it. From now on the task has its whole limit.
void watch::find_without_stamp(const task_record& r, u64 word) noexcept {
  const u32 seat = shm::worker_of(word);
  if (shm::phase_of(word) != task_phase::claimed || seat >= seats_.size()) return;
  // relaxed: a started task that is not found is found by the next count
  const u32 started = region_.at(r.index).started.load(std::memory_order_relaxed);
  if (started != shm::started_stamp(word) || seats_[seat].begin != 0) return;
  seats_[seat] = {no_stamp, r.generation | r.index, looked_at_ + r.time_limit};
}

}  // namespace procpool::parent
