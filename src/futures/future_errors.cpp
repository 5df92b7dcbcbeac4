// The errors of futures and executors of every kind that are used wrongly or too early, and the
// deadlines of their waits. Declared where the templates need them, and in future_errors.hpp.
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
        "executors can neither be made nor used inside a task (this one was made there, or in a "
        "process that a task has forked): only the program itself has workers and threads; return "
        "the data of further "
        "tasks to the program, which submits them");
  }
  if (runtime::current_role() == runtime::process_role::parent) {
    throw nested_use_error(
        "this executor belongs to the process that this one was forked from, whose workers and "
        "threads are not here: make a new executor in this process");
  }
  throw nested_use_error(
      "executors cannot be used inside a task, and this one belongs to the program, whose workers "
      "and threads are not here: return the data of further tasks to the program, which submits "
      "them");
}

void throw_shut_down() {
  throw shutdown_error("this pool was shut down: submit before shutdown(), or make a new pool");
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
  throw timeout_error("the task is not done yet; it continues, and the future stays valid");
}

}  // namespace procpool::detail
