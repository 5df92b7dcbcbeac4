// An identity for one thread or one process that is never used again: its number (pid or tid) and
// the time at which it began. A process stores it in shared memory to say "this belongs to me";
// after its death the others can tell that the owner has ended, although its number may have been
// given to another process. (A pidfd says the same, but cannot be stored in memory.)
//
//   63        62                                  22                    0
//   +---------+-----------------------------------+---------------------+
//   | process | begin, in clock ticks since boot  | number of the thread|
//   +---------+-----------------------------------+---------------------+
//
//   process: 1 if the identity means the whole process, 0 if it means this one thread
//
// All processes concerned see the same numbers, since they are in one PID namespace. The functions
// read /proc/<number>/stat. Any thread; they never throw and never allocate.
#pragma once

#include <cstdint>

namespace procpool::os {

using owner_id = std::uint64_t;

inline constexpr owner_id no_owner = 0;

// The identity of the calling thread, and of its process. The first call of a thread reads /proc;
// later calls return a remembered value, which a fork resets in the child.
owner_id this_thread_owner() noexcept;
owner_id this_process_owner() noexcept;

// True once the owner has ended for certain: no instruction of it will run any more. Takes about
// 10 us. Where /proc is hidden or missing, a zombie counts as alive until its parent reaps it.
bool has_ended(owner_id owner) noexcept;

}  // namespace procpool::os
