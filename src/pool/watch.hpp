// Which running tasks are over their time limits. The supervisor looks at the workers' stamps; the
// workers ring for nothing, and no thread polls.
//
// A task that has not started when the supervisor looks cannot be over its limit before that look
// plus the least limit of all unresolved tasks. So the supervisor sleeps until then, or until the
// first limit that is known to end: about one look for each limit, while there are such tasks.
//
//   expect()     a task with a limit was submitted; the least limit falls at once
//   look()       reads each worker's stamp. A new stamp gets the time at which its task is to end;
//                a task whose time has come is handed to the caller
//   forget()     the worker of the seat is dead
//
// A stamp is a worker's word, and a task may overwrite it. The limits and the times of the ends are
// private: a stamp that disappears changes nothing before the state word does, and a stamp that
// pretends to be old is no older than the last look. So no task ends early. A task that clears its
// stamp before the first look is found when all tasks are counted, and ends late.
//
// Used under the pool's mutex.
#pragma once

#include <limits>
#include <optional>
#include <vector>

#include "base/cycle_clock.hpp"
#include "pool/record_table.hpp"
#include "shm/region.hpp"

namespace procpool::parent {

class watch {
 public:
  watch(const shm::region& region, const record_table& table)
      : region_(region), table_(table), seats_(region.workers()) {}

  // True if the supervisor has to look earlier than it knows.
  bool expect(duration limit) noexcept {
    if (limit >= least_) [[likely]]
      return false;
    least_ = limit;
    return true;
  }
  void forget(shm::u32 seat) noexcept { seats_[seat] = {}; }
  // Empty while no task with a limit is unresolved.
  std::optional<time_point> next_look() const noexcept;

  // `end` is called as end(task_record&, word) for each task that is over its limit; the word says
  // CLAIMED, by a worker of this pool.
  template <class End>
  void look(End end) noexcept {
    begin_look();
    for (shm::u32 seat = 0; seat < seats_.size(); ++seat) {
      shm::u64 word = 0;
      if (task_record* r = over_limit(seat, word)) end(*r, word);
    }
    end_look();
  }

 private:
  struct watched {
    shm::u64 begin = 0, task = 0;  // the stamp; begin 0: none, `no_stamp`: found without one
    time_point end_at{};
  };

  void begin_look() noexcept;
  void end_look() noexcept;
  task_record* over_limit(shm::u32 seat, shm::u64& word) noexcept;
  task_record* running(shm::u32 seat, shm::u64 task, shm::u64& word) const noexcept;
  duration elapsed_since(shm::u64 begin) const noexcept;

  void find_without_stamp(const task_record& r, shm::u64 word) noexcept;

  static constexpr shm::u64 no_stamp = 1;
  static constexpr duration none{std::numeric_limits<double>::infinity()};

  const shm::region& region_;
  const record_table& table_;
  std::vector<watched> seats_;
  duration least_ = none;  // no unresolved task has a limit below
  // Cycles and time, read together: when this object was made, and in the current look. They tell
  // how long a cycle takes: over seconds this is more exact than a measurement of microseconds.
  shm::u64 first_cycles_ = base::cycles();
  time_point first_time_ = now();
  shm::u64 cycles_ = first_cycles_;
  time_point looked_at_ = first_time_, looked_before_ = first_time_;
  time_point counted_at_ = first_time_;  // when `least_` was last computed from all tasks
};

}  // namespace procpool::parent
