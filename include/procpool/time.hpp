// How the library counts time: durations and points in time, of the steady clock. Values.
#pragma once

#include "procpool/detail/std/chrono.hpp"

namespace procpool {

// Seconds as a double; std::chrono literals (2s, 50ms, 0.5s) all convert.
using duration = std::chrono::duration<double>;
using time_point = std::chrono::time_point<std::chrono::steady_clock, duration>;

}  // namespace procpool
