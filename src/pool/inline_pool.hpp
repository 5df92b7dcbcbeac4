// Runs tasks in the submitting thread, with all steps of a process pool: the task is packed, named,
// decoded and run, and its outcome encoded, so that errors of these steps appear here, too.
//
// Any thread; each runs its own tasks, without holding a mutex meanwhile.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "base/guarded.hpp"
#include "pool/task_backend.hpp"
#include "procpool/detail/task/code_ref.hpp"
#include "procpool/detail/task/local_task.hpp"

namespace procpool::parent {

// True if the environment has PROCPOOL_INLINE=1: run without processes, for a debugger.
bool wants_inline();

class inline_pool final : public task_backend {
 public:
  // Not `wanted`: it stands in for a pool of processes, and accepts their options.
  inline_pool(pool_options options, bool wanted);

  struct packed_task {
    detail::code_ref code;
    std::span<const std::byte> payload;
    std::uint32_t items = 0;
    const task_options* options = nullptr;
  };
  // Returns the finished task. Throws shutdown_error, broken_process_pool if the initializer
  // failed, and nested_use_error inside a task of any pool.
  detail::state_ptr run(const packed_task& task);
  // If `options.wait`, waits until the tasks of other threads are done. After the last of them the
  // finalizer runs, if any task has run. Throws nested_use_error inside a task.
  void shutdown(const shutdown_options& options) override;
  // Callers wait for all running tasks: the same as shutdown, without waiting.
  void signal_workers(int signal) override;
  void abandon(const shutdown_options& options) noexcept override;
  void retain() noexcept override { owners_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept override;
  int max_workers() const noexcept override { return *options_.max_workers; }
  pool_stats stats() override;
  std::optional<std::string> broken() override;
  // There are no workers to wait for. Throws as run() does in a pool that is not open.
  void wait_for_workers(const std::optional<duration>& timeout) override;

 private:
  class run_scope;
  void check_open() const REQUIRES(mutex_);
  void initialize();
  void finalize(std::unique_lock<std::mutex>& lock) noexcept REQUIRES(mutex_);
  ~inline_pool() = default;

  const pool_options options_;
  const bool wanted_;
  const detail::error_handler on_error_;
  std::atomic<int> owners_{1};
  std::once_flag initialized_;
  mutable base::mutex mutex_;
  std::condition_variable ended_;
  std::string broken_ GUARDED_BY(mutex_);  // the cause; empty: not broken
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool used_ GUARDED_BY(mutex_) = false;
  std::size_t running_ GUARDED_BY(mutex_) = 0;
  std::size_t done_ GUARDED_BY(mutex_) = 0;
};

}  // namespace procpool::parent
