// The callback thread: it runs callbacks of futures and reports of pools, which are code of the
// user that no thread of the user waits for. The process has at most one. It runs them in the order
// in which tasks complete, and ends when there is no callback to run or to wait for.
//
// A slow callback delays other callbacks and nothing else. The pool of the future reports an
// exception of a callback; the next callback still runs. Callbacks may submit, wait, and register
// callbacks.
#pragma once

#include <functional>
#include <thread>

namespace procpool::futures {

// Runs the function on the callback thread, soon; false if that thread cannot be started. Any
// thread.
bool post(const std::function<void()>& what) noexcept;

// Between these two calls the callback thread looks for completions, for a completion_set that is
// polled by its descriptor and has no waiting thread. Called with the hub's mutex held. begin_watch
// throws if the thread cannot be started; the caller joins the returned thread without the mutex.
std::thread begin_watch();
void end_watch() noexcept;

}  // namespace procpool::futures
