// Callbacks of futures and reports of pools: code of the user that is nobody's to wait for. One
// thread for the whole process runs it, in the order in which tasks complete; it is there only
// while there is something to run or to wait for.
//
// A slow callback delays other callbacks and nothing else. One that throws is reported by its
// future's pool; the next still runs. Callbacks may submit, wait, and register callbacks.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include "procpool/detail/task/task_state.hpp"

namespace procpool::futures {

// Runs on the callback thread, soon; false if there can be no such thread. Any thread.
bool post(const std::function<void()>& what) noexcept;

// Somebody wants to hear of completions without waiting for them: from begin to end the callback
// thread looks for them. With the mutex of completions.hpp held. begin throws if there can be no
// such thread; what it returns is to be joined without the mutex.
std::thread begin_watch();
void end_watch() noexcept;

}  // namespace procpool::futures
