// The interface of the two pools of an executor of packed tasks: the process pool and the inline
// pool. It has only the rare calls; submission calls the pool directly (`submission::commit`). Any
// thread.
#pragma once

#include <optional>
#include <string>

#include "procpool/detail/task/task_state.hpp"
#include "procpool/options.hpp"
#include "procpool/stats.hpp"

namespace procpool::parent {

class task_backend {
 public:
  task_backend(const task_backend&) = delete;
  task_backend& operator=(const task_backend&) = delete;

  // False in a forked copy of the process that made the backend: no other call is allowed there.
  bool is_here() const noexcept { return home_.is_here(); }

  virtual int max_workers() const noexcept = 0;
  virtual pool_stats stats() = 0;
  virtual std::optional<std::string> broken() = 0;  // the cause; empty: not broken
  virtual void wait_for_workers(const std::optional<duration>& timeout) = 0;
  virtual void shutdown(const shutdown_options& options) = 0;
  virtual void signal_workers(int signal) = 0;  // terminate_workers, kill_workers
  // Called when the executor is destroyed: gives up its ownership of the backend. If
  // `options.wait`, shuts the backend down first.
  virtual void abandon(const shutdown_options& options) noexcept = 0;

  // Owners besides the executor: the last owner that releases the backend deletes it.
  virtual void retain() noexcept = 0;
  virtual void release() noexcept = 0;

 protected:
  task_backend() = default;
  ~task_backend() = default;

 private:
  const detail::home_process home_;
};

}  // namespace procpool::parent
