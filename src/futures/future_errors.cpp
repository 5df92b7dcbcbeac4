// What futures and executors of every kind throw when they are used wrongly or too early, and the
// deadlines of their waits. Declared where the templates need it, and in future_errors.hpp.
#include "futures/future_errors.hpp"

#include <algorithm>
#include <chrono>

#include "procpool/detail/task/task_state.hpp"
#include "procpool/errors.hpp"
#include "runtime/process_role.hpp"

namespace procpool::detail {

void throw_unusable(bool inherited) {
  if (!inherited) {
    throw nested_use_error(
        "this executor was made in a task, or in a process that a task has forked, where executors "
        "do nothing: only the program itself has workers and threads; return what is to be done to "
        "the program, which submits it");
  }
  if (runtime::current_role() == runtime::process_role::parent) {
    throw nested_use_error(
        "this executor belongs to the process that this one was forked from, whose workers and "
        "threads are not here: make a new executor in this process");
  }
  throw nested_use_error(
      "this executor belongs to another process, and tasks cannot use it: return what is to be "
      "done to the program, which submits it");
}

time_point deadline_after(duration d) {
  const time_point now = std::chrono::steady_clock::now();
  if (!(d > duration::zero())) return now;  // also not a number
  const duration room = duration(4e9);      // steady_clock counts nanoseconds in 63 bits
  return now + std::min(d, room);
}

void throw_no_state() {
  throw invalid_state_error(
      "this future holds no task: it was moved from, or its result was taken");
}
void throw_wait_timeout() {
  throw timeout_error("the task is not done yet; it goes on, and the future stays valid");
}

}  // namespace procpool::detail
