// The durations, time points and clocks of <chrono>, without its calendar, time zones and text:
// these include the streams, which cost a compiler several times as much as all else. libstdc++ has
// the first part in a header of its own. A program that uses std::chrono includes <chrono>.
#pragma once

#include <cstddef>  // the macros of the standard library

#if _GLIBCXX_RELEASE >= 12 && __has_include(<bits/chrono.h>)
#include <bits/chrono.h>
#else
#include <chrono>
#endif
