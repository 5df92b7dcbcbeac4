// thread_pool_executor: the interface of process_pool_executor over threads of this process, for
// tasks that wait: files, networks, databases, other processes.
//
//   procpool::thread_pool_executor io(200);
//   auto page = io.submit([&client](const std::string& url) { return client.fetch(url); }, url);
//
// Nothing is encoded: a task may be anything that can be called, captures included, and its result
// anything that can be moved. It shares the memory of the program, and so its crash ends the
// program, it cannot be killed, and its data races are the program's own. What needs processes
// throws std::invalid_argument: task_options::retries, the timeout of shutdown.
//
// Scope it: the destructor is shutdown(). All members may be called from several threads at once,
// and by the pool's own tasks; one that waits for a task of its own pool as the last thread that
// could run it gets nested_use_error. The semantics are those of Python's ThreadPoolExecutor, with
// the differences that docs/differences.md lists.
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
  // Starts no thread: each comes with a task that finds none idle. Throws std::invalid_argument.
  thread_pool_executor() : thread_pool_executor(thread_pool_options{}) {}
  explicit thread_pool_executor(int max_workers)
      : thread_pool_executor(thread_pool_options{.max_workers = max_workers}) {}
  explicit thread_pool_executor(thread_pool_options options) : pool_(std::move(options)) {}
  // Blocks until everything submitted is done; while an exception passes, what has not started is
  // cancelled first. Does not block after shutdown({.wait = false}).
  ~thread_pool_executor() = default;
  thread_pool_executor(const thread_pool_executor&) = delete;
  thread_pool_executor& operator=(const thread_pool_executor&) = delete;

  // submit, map, broadcast and the like: basic_executor, in procpool/executor.hpp. f and the
  // arguments are moved or copied, text and spans too, unless f wants a pointer or a span of what
  // it may change; they are destroyed before the future is done. submit throws std::system_error if
  // there can be no thread at all.
  //
  // broadcast starts all max_workers() threads first, and throws std::system_error if it cannot.
  // Each thread calls a copy of f with copies of the arguments. It throws nested_use_error also
  // where tasks of the pool wait for others, so that not all threads can come.

  // submit throws shutdown_error from here on. By default blocks until all tasks are done and all
  // threads are gone; called by a task of the pool, until it is the last one. Any number of times.
  // Throws std::invalid_argument for a timeout: a thread cannot be stopped.
  using basic_executor::shutdown;
  void shutdown(shutdown_options options = {}) { pool_.shutdown(options); }

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
