// What maps, reductions and pipelines share when they end before their last result: the wait for
// tasks that run, and the message of a timeout. For one thread: the reader of the results.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "procpool/cancel.hpp"
#include "procpool/detail/task/task_state.hpp"
#include "procpool/export.hpp"
#include "procpool/time.hpp"

namespace procpool::detail {

// Blocks until the task is done, or until the deadline; null means no deadline. Waits also where
// waiting is refused because the caller may be the last thread that could run the task: this task
// runs already.
PROCPOOL_EXPORT void await_end(task_state& task, const time_point* deadline) noexcept;

// How a map or a pipeline ends before its last result: map_options::cancel and grace.
struct early_end {
  cancel_mode mode = cancel_mode::pending;
  duration grace = {};
};

// A task that could not be cancelled when its map ended, since it runs or is done; and its items.
struct begun_task {
  task_state* task = nullptr;
  std::size_t first = 0, count = 0;
};

// The end of a map or a pipeline that has not finished in time, for the message of its error.
class PROCPOOL_EXPORT unfinished_items {
 public:
  // what: "map". `unread` items are left, done or not.
  unfinished_items(const char* what, std::size_t unread) : what_(what), unread_(unread) {}

  // The caller waited for one of these items.
  void waited_for(std::size_t first, std::size_t count) { oldest_ = {nullptr, first, count}; }
  // Ends these tasks as end_tasks() does, and notes which of them were killed and which continue.
  void end(std::span<const begun_task> tasks, early_end how);

  [[noreturn]] void fail() const;

 private:
  const char* what_;
  std::size_t unread_;
  begun_task oldest_;
  std::vector<begun_task> killed_, running_;
};

// With kill_running: waits for the tasks, for the grace at most, then kills the workers of tasks
// that still run. each(f) calls f(task) for each task.
template <class Each>
void end_tasks(Each each, early_end how) noexcept {
  if (how.mode != cancel_mode::kill_running) return;
  const time_point end = deadline_after(how.grace);
  each([&end](task_state& task) { await_end(task, &end); });
  each([](task_state& task) { task.cancel(true); });
}

}  // namespace procpool::detail
