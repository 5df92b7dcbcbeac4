// std::mutex, std::lock_guard and std::unique_lock, without the other mutexes of <mutex>. libstdc++
// has them in headers of their own. A program that uses them includes <mutex>.
#pragma once

#include <cstddef>  // the macros of the standard library

#if _GLIBCXX_RELEASE >= 12 && __has_include(<bits/std_mutex.h>) && __has_include(<bits/unique_lock.h>)
#include <bits/std_mutex.h>
#include <bits/unique_lock.h>
#else
#include <mutex>
#endif
