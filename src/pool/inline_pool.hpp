// Tasks that run where they are submitted, on the way that they would take to a worker: packed,
// named, decoded, run, and their outcome encoded, so that what goes wrong there goes wrong here.
//
// Any thread; each runs its own tasks, and nothing is locked meanwhile.
#pragma once

#include <condition_variable>
#include <mutex>
#include <span>
#include <string>

#include "procpool/detail/executor/pool_access.hpp"
#include "procpool/detail/task/local_task.hpp"

namespace procpool::parent {

// The environment says PROCPOOL_INLINE=1: there are to be no processes, for a debugger.
bool wants_inline();

class inline_pool {
 public:
  explicit inline_pool(pool_options options);

  struct packed_task {
    detail::code_ref code;
    std::span<const std::byte> payload;
    std::uint32_t items = 0;
    const task_options* options = nullptr;
  };
  // The task is finished. Throws shutdown_error, broken_process_pool if the initializer failed, and
  // nested_use_error inside of a task of any pool.
  detail::state_ptr run(const packed_task& task);
  // If `wait`, until the tasks of other threads are done. Behind the last of them runs the
  // finalizer, if a task has run. Throws nested_use_error inside of a task.
  void shutdown(bool wait);

  void abandon(bool wait);  // the executor is gone
  void retain() noexcept { owners_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;
  int max_workers() const noexcept { return *options_.max_workers; }
  pool_stats stats() const;
  // False in a copy of the process that has made it.
  bool is_here() const noexcept { return home_.is_here(); }

 private:
  class run_scope;
  void check_open() const;
  void initialize();
  void finalize(std::unique_lock<std::mutex>& lock) noexcept;
  ~inline_pool() = default;

  const detail::home_process home_;
  const pool_options options_;
  const detail::error_handler on_error_;
  std::atomic<int> owners_{1};
  std::once_flag initialized_;
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  std::string broken_;  // why; empty: it is not
  bool stopping_ = false, used_ = false;
  std::size_t running_ = 0, done_ = 0;
};

}  // namespace procpool::parent
