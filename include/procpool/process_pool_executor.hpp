// process_pool_executor: runs functions in worker processes that share memory with this one.
//
//   procpool::process_pool_executor pool;              // a worker for each CPU
//   auto f = pool.submit(simulate, 42);                // procpool::future<result>
//   for (auto& r : pool.map(decode, files)) use(r);    // a parallel for-loop, in order
//
// Scope it: the destructor is shutdown(). Several threads may call all members at once. One crash
// costs one task: its future throws worker_crashed, the worker is replaced, other tasks are not
// affected. The semantics are those of Python's ProcessPoolExecutor, with the differences that
// docs/differences.md lists.
#pragma once

#include <csignal>
#include <utility>

#include "procpool/detail/executor/byte_tasks.hpp"
#include "procpool/detail/executor/pool_access.hpp"
#include "procpool/executor.hpp"
#include "procpool/options.hpp"
#include "procpool/stats.hpp"

namespace procpool {

class process_pool_executor : public basic_executor<process_pool_executor, detail::byte_tasks> {
 public:
  // Starts the workers, but does not wait for them. Throws std::invalid_argument (the message names
  // the option), std::system_error when this process lacks descriptors, threads or memory,
  // broken_process_pool when the fork server cannot be started (its cause is nested in it, and in
  // its message), unsafe_fork_error and nested_use_error.
  process_pool_executor() = default;
  explicit process_pool_executor(int max_workers) : pool_(max_workers) {}
  explicit process_pool_executor(pool_options options) : pool_(std::move(options)) {}
  // Blocks until all submitted tasks are done; during stack unwinding it first cancels tasks that
  // have not started. Does not block after shutdown({.wait = false}).
  ~process_pool_executor() = default;
  process_pool_executor(const process_pool_executor&) = delete;
  process_pool_executor& operator=(const process_pool_executor&) = delete;

  // submit, map, broadcast and the like: see basic_executor, in procpool/executor.hpp. The
  // arguments are encoded before submit returns, and f may be any task function: see the guide,
  // "Independent tasks".
  //
  // In a broadcast, a worker that dies before all workers have started is replaced, and its call
  // starts anew, up to three times; then broadcast throws worker_crashed. It throws
  // std::system_error if a worker cannot be started for some seconds, while others run.

  // Ends the pool; submit throws shutdown_error from here on. By default blocks until all tasks are
  // done and all processes are gone. Any number of times, from any thread, but not from a callback
  // when it waits.
  void shutdown(shutdown_options options = {}) { pool_.shutdown(options); }
  using basic_executor::shutdown;
  // Cancels what waits, ends the workers with SIGTERM, which a task may catch, and comes back at
  // once. Tasks that ran throw worker_crashed, or broken_process_pool if their worker is not known
  // to be dead 5 seconds after SIGKILL.
  void terminate_workers() { pool_.signal_workers(SIGTERM); }
  // As terminate_workers(), with SIGKILL at once.
  void kill_workers() { pool_.signal_workers(SIGKILL); }

  // As in the options; by default the number of CPUs that this process may use.
  int max_workers() const { return pool_.max_workers(); }
  // Takes time in proportion to the number of unfinished tasks.
  pool_stats stats() const { return pool_.stats(); }

  // For the library: where tasks go.
  detail::task_target native_target() const { return pool_.use(); }

 private:
  detail::owned_pool pool_;
};

}  // namespace procpool
