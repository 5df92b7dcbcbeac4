// Threads that run local_tasks.
//
//   commit: into the queue; a new thread if none is idle for it
//   thread: the initializer, then task after task; the outcome of one is published when it is known
//           whether the thread is idle, so that whoever waited for it finds the thread free
//
// One mutex guards all of it. It is never held while code of the user runs or somebody is told.
// Lifetime: the executor, maps and threads share it. A thread is joined by shutdown; after the
// executor let go, it detaches itself.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "procpool/detail/thread_access.hpp"

namespace procpool::parent {

class thread_pool : public std::enable_shared_from_this<thread_pool> {
 public:
  // Throws std::invalid_argument.
  explicit thread_pool(thread_pool_options options);
  ~thread_pool();

  // Takes one reference over, unless it throws.
  void commit(detail::local_task* task);
  void shutdown(const shutdown_options& options);
  void abandon() noexcept;  // the executor is gone
  int max_workers() const noexcept { return max_workers_; }
  pool_stats stats() const;
  const detail::error_handler& on_error() const noexcept { return on_error_; }
  // At exit: whatever is left runs, or is cancelled.
  static void finish_all(bool cancel) noexcept;

  // Around the sleep of a thread that waits for one of its own pool's tasks. Throws
  // nested_use_error if all threads of the pool do, and for tasks of which none is done: nobody
  // would ever wake them.
  class waiting_scope {
   public:
    waiting_scope(thread_pool* of_task, const detail::local_task& task, bool for_ever);
    ~waiting_scope();
    waiting_scope(const waiting_scope&) = delete;
    waiting_scope& operator=(const waiting_scope&) = delete;

   private:
    thread_pool* pool_ = nullptr;  // null: there is nothing to fear
    const detail::local_task* task_;
    waiting_scope* next_ = nullptr;
    friend thread_pool;
  };

 private:
  struct seat {
    std::thread thread;
    bool alive = false, busy = false;
    std::size_t done = 0;
  };

  void check_open() const;
  void start_thread();
  void work(std::size_t index);
  bool initialize(std::size_t index) noexcept;
  void break_with(const std::string& why) noexcept;
  detail::local_task* take(std::unique_lock<std::mutex>& lock, seat& own);
  detail::local_task* take_all() noexcept;
  void leave(std::size_t index) noexcept;
  bool deadlocked() const;

  const thread_pool_options options_;
  const int max_workers_;
  const std::string name_;
  const detail::error_handler on_error_;

  mutable std::mutex mutex_;
  std::condition_variable work_cv_, ended_cv_;
  detail::local_task *first_ = nullptr, *last_ = nullptr;
  std::size_t queued_ = 0, submitted_ = 0, idle_ = 0, alive_ = 0;
  std::vector<std::unique_ptr<seat>> seats_;
  waiting_scope* waiting_ = nullptr;  // threads that wait for tasks of the pool
  std::string broken_;                // why; empty: it is not
  bool stopping_ = false, abandoned_ = false, exit_hook_set_ = false;
};

}  // namespace procpool::parent
