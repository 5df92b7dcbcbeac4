// thread_pool_executor: the interface of process_pool_executor over threads of this process, for
// tasks that wait: files, networks, databases, other processes.
//
//   procpool::thread_pool_executor io(200);
//   auto page = io.submit([&client](const std::string& url) { return client.fetch(url); }, url);
//
// Nothing is encoded: a task may be anything that can be called, captures included, and its result
// anything that can be moved. A task shares the memory of the program: its crash ends the program,
// it cannot be killed, and its data races are the program's own. Options that need processes throw
// std::invalid_argument: task_options::retries and time_limit, the timeout of shutdown.
//
// Scope it: the destructor is shutdown(). Several threads may call all members at once, also the
// pool's own tasks; a task that waits for another task of its own pool gets nested_use_error if no
// other thread is left to run that task. The semantics are those of Python's ThreadPoolExecutor,
// with the differences that docs/differences.md lists.
#pragma once

#include <utility>

#include "procpool/detail/executor/thread_access.hpp"
#include "procpool/detail/executor/thread_tasks.hpp"
#include "procpool/executor.hpp"
#include "procpool/options.hpp"
#include "procpool/stats.hpp"

namespace procpool {

class thread_pool_executor : public basic_executor<thread_pool_executor, detail::thread_tasks> {
 public:
  // Starts no thread: a task that finds no idle thread starts one. Throws std::invalid_argument.
  thread_pool_executor() : thread_pool_executor(thread_pool_options{}) {}
  explicit thread_pool_executor(int max_workers)
      : thread_pool_executor(thread_pool_options{.max_workers = max_workers}) {}
  explicit thread_pool_executor(thread_pool_options options) : pool_(std::move(options)) {}
  // Blocks until all submitted tasks are done; during stack unwinding it first cancels tasks that
  // have not started. Does not block after shutdown({.wait = false}).
  ~thread_pool_executor() = default;
  thread_pool_executor(const thread_pool_executor&) = delete;
  thread_pool_executor& operator=(const thread_pool_executor&) = delete;

  // submit, map, broadcast and the like: basic_executor, in procpool/executor.hpp. f and the
  // arguments are moved or copied, including text and spans, unless f takes a pointer or a span
  // whose elements it may change; they are destroyed before the future is done. submit throws
  // std::system_error if the pool cannot start any thread.
  //
  // broadcast starts all max_workers() threads first, and throws std::system_error if it cannot.
  // Each thread calls a copy of f with copies of the arguments. It also throws nested_use_error if
  // tasks of the pool wait for other tasks, so that not all threads can take part.

  // Ends the pool; submit throws shutdown_error from here on. By default blocks until all tasks are
  // done and all threads are gone; called by a task of the pool, until it is the last one. Any
  // number of times. Throws std::invalid_argument for a timeout: a thread cannot be stopped.
  void shutdown(shutdown_options options = {}) { pool_.shutdown(options); }
  using basic_executor::shutdown;

  // As in the options; by default 4 more than the number of CPUs, but at most 32.
  int max_workers() const { return detail::max_workers_of(pool_.get()); }
  // Of the threads that were started. They have no pid.
  pool_stats stats() const { return pool_.stats(); }

  // For the library: where tasks go.
  const detail::thread_pool_ptr& native_target() const noexcept { return pool_.get(); }

 private:
  detail::owned_thread_pool pool_;
};

}  // namespace procpool
