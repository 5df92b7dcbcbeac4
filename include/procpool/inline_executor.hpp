// inline_executor: the interface of process_pool_executor without processes. A task runs in the
// caller, before submit returns; its function, arguments, result and exception are encoded and
// decoded as they would be on the way to a worker and back, by the same rules at compile time.
//
//   procpool::inline_executor here;
//   EXPECT_EQ(count_words(here, folder), 42);        // the code under test takes any executor
//
// For tests and for debuggers: what does not work here would not work in a worker either, and a
// breakpoint in a task is reached. (For a program as it is, PROCPOOL_INLINE=1 in the environment
// makes each process_pool_executor run its tasks so.) Globals are those of the program, and a crash
// is its end. Any thread; each runs what it submits.
#pragma once

#include <utility>

#include "procpool/detail/executor/byte_tasks.hpp"
#include "procpool/detail/executor/pool_access.hpp"
#include "procpool/executor.hpp"
#include "procpool/options.hpp"
#include "procpool/stats.hpp"

namespace procpool {

class inline_executor : public basic_executor<inline_executor, detail::byte_tasks> {
 public:
  // As with the options {.max_workers = 1}.
  inline_executor() : inline_executor(pool_options{.max_workers = 1}) {}
  // The initializer runs before the first task, the finalizer at the end; on_error works. What
  // concerns processes is checked, and has no effect. Throws std::invalid_argument.
  explicit inline_executor(pool_options options)
      : pool_(std::move(options), detail::run_in::caller) {}
  ~inline_executor() = default;
  inline_executor(const inline_executor&) = delete;
  inline_executor& operator=(const inline_executor&) = delete;

  // submit, map, broadcast and the like: basic_executor, in procpool/executor.hpp; a broadcast is
  // one call, whatever max_workers() is. A task that uses an inline_executor, its own or another,
  // gets nested_use_error, as it would in a worker. Timeouts have no effect.

  // Ends the executor; submit throws shutdown_error from here on. Waits for tasks that other
  // threads run; no task can be cancelled. The finalizer runs after the last task. Throws
  // nested_use_error inside of a task.
  void shutdown(shutdown_options options = {}) { pool_.shutdown(options); }
  using basic_executor::shutdown;

  // As in the options, or 1. It bounds nothing: each thread runs what it submits.
  int max_workers() const { return pool_.max_workers(); }
  // How many tasks run and are done; there are no workers.
  pool_stats stats() const { return pool_.stats(); }

  // For the library: where tasks go.
  detail::task_target native_target() const { return pool_.use(); }

 private:
  detail::owned_pool pool_;
};

}  // namespace procpool
