// The concepts of ranges and std::ranges::begin and the like, without the views of <ranges>.
// libstdc++ has the first part in a header of its own, which <span> includes. A program that uses
// views includes <ranges>.
#pragma once

#include <iterator>
#include <span>

#if _GLIBCXX_RELEASE >= 12 && __has_include(<bits/ranges_base.h>)
#include <bits/ranges_base.h>
#else
#include <ranges>
#endif
