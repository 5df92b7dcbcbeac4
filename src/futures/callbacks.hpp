// The callback thread: it runs callbacks of futures and reports of pools, which are code of the
// user that no thread of the user waits for. The process has at most one. It runs them in the order
// in which tasks complete, and ends when there is no callback to run or to wait for.
//
// A slow callback delays other callbacks and nothing else. The pool of the future reports an
// exception of a callback; the next callback still runs. Callbacks may submit, wait, and register
// callbacks.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <thread>

#include "procpool/time.hpp"

namespace procpool::futures {

// Runs the function on the callback thread, soon; false if that thread cannot be started. Any
// thread.
bool post(const std::function<void()>& what) noexcept;

// Between these two calls the callback thread looks for completions, for a completion_set that is
// polled by its descriptor and has no waiting thread. Called with the hub's mutex held. begin_watch
// throws if the thread cannot be started; the caller joins the returned thread without the mutex.
std::thread begin_watch();
void end_watch() noexcept;

// A time at which the callback thread calls a function of the library. Its members are used under
// the hub's mutex, except for go_off().
class alarm {
 public:
  // The time has come: keeps the object until go_off() has returned.
  virtual void keep() noexcept = 0;
  // Without the mutex. The alarm may be destroyed within.
  virtual void go_off() noexcept = 0;
  std::optional<std::multimap<time_point, alarm*>::iterator> entry;  // empty: not set

 protected:
  ~alarm() = default;
};
// With the hub's mutex held; set_alarm as begin_watch. clear_alarm does nothing if the alarm is not
// set, or has gone off.
std::thread set_alarm(alarm& which, time_point when);
void clear_alarm(alarm& which) noexcept;

}  // namespace procpool::futures
