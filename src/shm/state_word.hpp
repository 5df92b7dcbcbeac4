// The state word: one 64-bit word per task, and the only authority on the task's state.
//
//   63                                20 19         8 7 6 5 4 3     0
//   +-----------------------------------+------------+-+-+-+-+-------+
//   |            generation             |   worker   |0|0|N|W| state |
//   +-----------------------------------+------------+-+-+-+-+-------+
//
//   state       see task_phase; 0 never occurs, so zeroed memory is recognised as damage
//   W WAITER    a thread of the parent sleeps on this word (a futex on its low half)
//   N NOTIFY    the parent wants the slot on the worker's done-list when the task is done
//   worker      the seat of the worker that claimed the task; 0 while no worker has
//   generation  incremented each time the parent reuses the slot; 44 bits never wrap in practice
//
// Permitted changes, each by one compare-and-swap (or a plain store while the parent alone owns the
// slot):
//
//   parent   FREE, DONE, CRASHED, CANCELLED -> READY   submit, once the outcome was taken
//   worker   READY -> CLAIMED         claim: from here the slot belongs to that worker
//   worker   CLAIMED -> DONE          publish: the outcome is complete
//   parent   READY -> CANCELLED       cancel
//   parent   CLAIMED -> KILL          cancel, or a time limit: only the winner may kill the worker
//   parent   CLAIMED -> CRASHED or READY   the sweep, after proof that the worker is dead
//   parent   KILL -> CRASHED          the same, for a task that was cancelled while it ran
//   parent   KILL -> CRASHED or READY the same, for a task that was over its time limit
//   parent   sets W and N at any time before the slot is done; every other change keeps them
#pragma once

#include <atomic>
#include <cstdint>

namespace procpool::shm {

enum class task_phase : std::uint64_t {
  free = 1,
  ready = 2,
  claimed = 3,
  done = 4,
  kill = 5,
  crashed = 6,
  cancelled = 7,
};

inline constexpr std::uint64_t phase_mask = 0xf;
inline constexpr std::uint64_t waiter_flag = 1U << 4U;
inline constexpr std::uint64_t notify_flag = 1U << 5U;
inline constexpr std::uint64_t flags_mask = waiter_flag | notify_flag;
inline constexpr std::uint64_t unused_mask = 0xc0;  // always 0
inline constexpr unsigned worker_shift = 8;
inline constexpr std::uint64_t worker_mask = 0xfffULL << worker_shift;
inline constexpr unsigned generation_shift = 20;
inline constexpr std::uint64_t generation_mask = ~((1ULL << generation_shift) - 1);

constexpr task_phase phase_of(std::uint64_t word) {
  return static_cast<task_phase>(word & phase_mask);
}
constexpr std::uint32_t worker_of(std::uint64_t word) {
  return static_cast<std::uint32_t>((word & worker_mask) >> worker_shift);
}
// The generation at its bit position, unshifted: words and hints can be compared.
constexpr std::uint64_t generation_of(std::uint64_t word) { return word & generation_mask; }

constexpr std::uint64_t make_word(std::uint64_t generation, task_phase phase,
                                  std::uint32_t worker = 0, std::uint64_t flags = 0) {
  return (generation & generation_mask) | (std::uint64_t{worker} << worker_shift) | flags |
         static_cast<std::uint64_t>(phase);
}
// The same word in another phase: flags, worker and generation stay.
constexpr std::uint64_t with_phase(std::uint64_t word, task_phase phase) {
  return (word & ~phase_mask) | static_cast<std::uint64_t>(phase);
}

// Done, crashed or cancelled: only the parent accesses the slot from then on. A word with no valid
// state was damaged; the parent finds it when a worker dies or a wait takes long, and resolves the
// task itself (pool::lose).
constexpr bool is_resolved(std::uint64_t word) {
  constexpr auto bit = [](task_phase p) { return 1U << static_cast<unsigned>(p); };
  constexpr unsigned resolved =
      bit(task_phase::done) | bit(task_phase::crashed) | bit(task_phase::cancelled);
  return (resolved >> (word & phase_mask) & 1U) != 0;
}

// The low 32 bits of a generation, as the worker stores them when it starts the task. Never 0,
// since 0 means "not started".
constexpr std::uint32_t started_stamp(std::uint64_t word) {
  return static_cast<std::uint32_t>(word >> generation_shift) | 1U << 31U;
}

using state_word = std::atomic<std::uint64_t>;
static_assert(state_word::is_always_lock_free && sizeof(state_word) == 8);

}  // namespace procpool::shm
