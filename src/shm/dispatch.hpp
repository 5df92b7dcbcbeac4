// How workers find tasks and how idle workers are woken: the hint ring, the two roles, and sleep.
//
// At most two workers look for tasks, so that a stream of small tasks causes no wakes at all:
//
//   spinning  watches the ring for up to 50 microseconds after its last task, then gives the role
//             up. It keeps the role while it runs tasks, so steady traffic writes nothing shared.
//   watchdog  naps, and checks that a backlog makes progress. If it does not, or if the typical
//             task is long, the watchdog takes the spinning role and appoints the next watchdog:
//             long tasks fan out to all workers in a chain, with one wake for each link.
//   asleep    all other workers, each on its own futex, with one bit in control_block::asleep.
//
// The parent kicks after each hint: if the spinning role is vacant, it appoints a sleeper to it,
// else, if the watchdog role is vacant, it appoints one to that. Appointing is a CAS on `roles`
// before the wake, so each vacancy costs one wake. The race that would lose a wake is closed as in
// Dekker's algorithm, by two steps of each side with a full fence in between: the parent stores
// `tail` and then reads `asleep`; a worker sets its bit in `asleep` and then reads `tail` and
// `roles`.
//
// If a worker dies holding a role or a bit, the sweep clears both and kicks. If a worker is
// stopped, the others continue: every sleep ends after one second at most, and the ring has no
// lock.
#pragma once

#include <bit>
#include <functional>
#include <optional>

#include "base/spin_backoff.hpp"
#include "shm/region.hpp"

namespace procpool::shm {

inline constexpr u64 long_task_ns = 900;  // from this length on a task is worth a worker of its own

// Used by both sides. Stateless: all state is in the region.
class roster {
 public:
  explicit roster(const region& r) : region_(&r) {}

  // Appoints and wakes one sleeper if a role is vacant. True if a worker was woken.
  bool kick() const { return anybody_asleep() && !(has_spinning() && has_watchdog()) && appoint(); }
  // Number of workers that run or look for tasks.
  u32 awake() const;
  bool anybody_asleep() const { return some_sleeper().has_value(); }
  // Wakes the worker if it is asleep.
  bool wake(u32 seat) const;
  void wake_all() const;

  // Worker: announces that it is about to sleep, or no longer sleeps.
  void set_asleep(u32 seat) const;
  bool clear_asleep(u32 seat) const;

  bool has_spinning() const { return (roles() & 0xffffU) != 0; }
  bool has_watchdog() const { return (roles() >> 16U & 0xffffU) != 0; }
  bool is_spinning(u32 seat) const { return (roles() & 0xffffU) == seat + 1; }
  bool is_watchdog(u32 seat) const { return (roles() >> 16U & 0xffffU) == seat + 1; }
  bool take_spinning(u32 seat) const { return take(0, seat); }
  bool take_watchdog(u32 seat) const { return take(16, seat); }
  void seize_spinning(u32 seat) const;  // takes it from another worker; gives up the watchdog role
  void drop_roles(u32 seat) const;

  // Parent: clears roles of seats that do not exist.
  void drop_impossible_roles() const;
  // Whether the worker has no task: it sets its bit before it sleeps, clears it before it claims.
  bool is_asleep(u32 seat) const;

 private:
  bool appoint() const;
  // seq_cst: read after set_asleep, it must see an appointment that found no bit to clear
  u64 roles() const { return region_->control().roles.load(); }
  std::optional<u32> some_sleeper() const {
    const control_block& c = region_->control();
    for (u32 group = 0; group * 64 < region_->workers(); ++group) {
      // relaxed: a hint; wake() decides with its own atomic operation
      const u64 bits = c.asleep[group].load(std::memory_order_relaxed);
      if (bits == 0) continue;
      // A bit of a seat that does not exist was written by mistake.
      const u32 seat = group * 64 + static_cast<u32>(std::countr_zero(bits));
      if (seat < region_->workers()) return seat;
    }
    return std::nullopt;
  }
  bool take(unsigned shift, u32 seat) const;
  void drop(unsigned role, u32 seat) const;

  const region* region_;
};

// Worker: waits for the next claimed task. One per worker, used by its only thread.
//
//   state    | function     | what happens                            | next state
//   ---------+--------------+-----------------------------------------+---------------------------
//   claiming | try_claim()  | a task is claimed                       | the caller runs the task,
//            |              |                                         | then claiming
//            |              | the ring is empty, and the pool stops   | next() returns null
//            |              | the ring is empty                       | spinning
//   spinning | spin()       | another worker has the role             | dozing
//            |              | a hint arrives within 50 us             | claiming; the role is kept
//            |              | none arrives, or spinning has not paid  | dozing; the role is given
//            |              | lately (spin_backoff)                   | up
//   dozing   | sleep()      | (the bit in `asleep` is set)            |
//            |              | this worker was appointed to spin, or   | claiming
//            |              | there is work, and no worker spins      |
//            |              | this worker is the watchdog, or there   | watching
//            |              | is work, and no watchdog                |
//            |              | neither                                 | asleep
//   asleep   | sleep()      | woken as the watchdog                   | watching
//            |              | woken, or the pool stops                | claiming
//            |              | a second is over                        | idle(), then claiming
//   watching | keep_watch() | work waits, and tasks are long, or too  | claiming, with the
//            |              | few were claimed during a nap           | spinning role
//            |              | no work waits, and none was claimed     | claiming; the role is given
//            |              | during a nap                            | up
//            |              | neither                                 | watching: a longer nap
//            |              | the pool stops                          | claiming
//
// gather() is a pause at the beginning of `spinning`, without a look at the ring.
class work_source {
 public:
  // idle: called about once a second while there is no task, and again at once while it returns
  // true, which means that it has more to do.
  work_source(const region& r, u32 seat, std::function<bool()> idle);

  // Claims the next task and returns its slot; blocks until there is a task. nullptr: the
  // ring is empty, and the pool stops or the parent has told this worker to leave.
  slot* next();
  // Called after a task: measures it.
  void finished();
  u64 last_task_ns() const { return last_cycles_ * 1000 / cycles_per_us_; }
  u64 last_task_cycles() const { return last_cycles_; }
  u64 last_end() const { return last_end_; }  // cycles
  // Wakes another worker if the backlog is worth it; called before a task that may be long.
  void share_backlog();

 private:
  slot* try_claim();
  void prefetch(u64 position);
  bool has_work() const;
  bool spin();
  [[gnu::noinline]] void gather();  // rare: kept out of the spinning code
  void sleep();
  void keep_watch();
  bool stopping() const;

  const region* region_;
  roster roster_;
  u32 seat_;
  std::function<bool()> idle_;
  u64 cycles_per_us_;
  u64 spin_cycles_;
  u64 tail_ = 0;        // as last read; hints before it may remain
  u64 task_begin_ = 0;  // cycles when the current task was claimed
  u64 last_end_ = 0;    // cycles when the last task ended, 0 after any pause
  u64 last_cycles_ = 0;
  u64 usual_cycles_ = 0;  // this worker's own running average
  u64 long_cycles_, published_cycles_ = 0;
  base::spin_backoff backoff_;
  // Whether letting tasks gather before spinning pays, and the number of spins until the next test.
  bool gathers_ = false;
  u32 try_gather_in_ = first_try_, next_try_ = first_try_;
  static constexpr u32 first_try_ = 16;
};

}  // namespace procpool::shm
