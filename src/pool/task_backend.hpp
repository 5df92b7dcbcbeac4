// What stands behind an executor of packed tasks: a process pool, or the inline pool. These are the
// calls that are rare; a task goes straight to its pool (`submission::commit`). Any thread.
#pragma once

#include "procpool/detail/task/task_state.hpp"
#include "procpool/options.hpp"
#include "procpool/stats.hpp"

namespace procpool::parent {

class task_backend {
 public:
  task_backend(const task_backend&) = delete;
  task_backend& operator=(const task_backend&) = delete;

  // False in a copy of the process that has made the backend: then no other call is allowed.
  bool is_here() const noexcept { return home_.is_here(); }

  virtual int max_workers() const noexcept = 0;
  virtual pool_stats stats() = 0;
  virtual void shutdown(const shutdown_options& options) = 0;
  virtual void signal_workers(int signal) = 0;  // terminate_workers, kill_workers
  // The executor is gone, and its share of the backend with it. First, if `options.wait`, the
  // backend is shut down.
  virtual void abandon(const shutdown_options& options) noexcept = 0;

  // Owners beside the executor: the last one that releases the backend deletes it.
  virtual void retain() noexcept = 0;
  virtual void release() noexcept = 0;

 protected:
  task_backend() = default;
  ~task_backend() = default;

 private:
  const detail::home_process home_;
};

}  // namespace procpool::parent
