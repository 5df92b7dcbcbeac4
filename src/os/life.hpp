// A name for one thread, or one process, that nobody else ever has: its number and when it began.
// For what lies in shared memory and must be known to be nobody's once its owner has died. Numbers
// are used again, pairs are not.
//
//   63        62                                  22                    0
//   +---------+-----------------------------------+---------------------+
//   | process | begin, in clock ticks since boot  | number of the thread|
//   +---------+-----------------------------------+---------------------+
//
// All processes concerned see the same numbers (one PID namespace). Any thread; never throws, never
// allocates.
#pragma once

#include <cstdint>

namespace procpool::os {

using life = std::uint64_t;

inline constexpr life nobody = 0;

// Cheap but for the first call of a thread, and right in a process that was just forked.
life this_thread_life() noexcept;
life this_process_life() noexcept;

// Whether it is over for certain: no instruction of it will run any more. Reads /proc, about 10 us.
// Where that is hidden or missing, a process that nobody has waited for counts as alive.
bool has_ended(life l) noexcept;

}  // namespace procpool::os
