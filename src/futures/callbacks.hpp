// The callback thread: it runs callbacks of futures and reports of pools, code of the user on which
// no thread of the user waits. The process has at most one, which runs them in the order in which
// tasks complete, and ends when there is none to run or to wait for.
//
// A slow callback delays other callbacks and nothing else. One that throws is reported by its
// future's pool; the next still runs. Callbacks may submit, wait, and register callbacks.
#pragma once

#include <functional>
#include <thread>

namespace procpool::futures {

// Runs on the callback thread, soon; false if that thread cannot be started. Any thread.
bool post(const std::function<void()>& what) noexcept;

// Between these two calls the callback thread looks for completions, for a completion_set that is
// asked by its descriptor and has no thread that waits. With the hub's mutex held. begin throws if
// the thread cannot be started; what it returns is to be joined without the mutex.
std::thread begin_watch();
void end_watch() noexcept;

}  // namespace procpool::futures
