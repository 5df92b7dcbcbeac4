// A pool of threads that run local_tasks.
//
//   commit: queues the task, and starts a thread if no idle thread is left for it
//   thread: runs the initializer, then task after task. Before it publishes an outcome it counts as
//           idle again, so that a caller that has waited for the outcome finds an idle thread
//
//   broadcast: starts all threads and queues one task for each. Each task waits in its thread until
//           all of them have arrived. If a thread can never arrive, the broadcast is aborted
//
// One mutex guards all of it. No thread holds it while code of the user runs or a listener is told.
// Lifetime: the executor, maps and threads share the pool. shutdown() joins the threads; a thread
// that ends after its executor is destroyed detaches itself.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/guarded.hpp"
#include "procpool/detail/executor/thread_access.hpp"
#include "runtime/blocking_guard.hpp"

namespace procpool::detail {

// Where the tasks of one broadcast wait for each other. Guarded by the pool's mutex.
struct thread_rendezvous {
  thread_rendezvous(thread_pool& p, std::size_t n) : pool(p), places(n) {}
  bool is_over() const { return arrived == places || abort_reason; }

  thread_pool& pool;  // outlives its threads, and the caller
  const std::size_t places;
  std::size_t arrived = 0;          // tasks that have arrived
  std::exception_ptr abort_reason;  // null unless aborted
};

class thread_pool final : public runtime::thread_group,
                          public std::enable_shared_from_this<thread_pool> {
 public:
  // Throws std::invalid_argument.
  explicit thread_pool(thread_pool_options options);
  ~thread_pool();

  // Takes over one reference, unless it throws.
  void commit(local_task* task);
  void shutdown(const shutdown_options& options);
  void abandon() noexcept;  // called when the executor is destroyed
  int max_workers() const noexcept { return max_workers_; }
  // False in a copy of the process that made the pool.
  bool is_here() const noexcept { return home_.is_here(); }
  pool_stats stats() const;
  const error_handler& on_error() const noexcept { return on_error_; }
  bool has_this_thread() const noexcept { return runtime::current_group() == this; }
  // At exit: runs the remaining tasks, or cancels them.
  static void finish_all(bool cancel) noexcept;

  // broadcast.cpp. One rendezvous at a time: its caller holds `broadcasting()`.
  std::mutex& broadcasting() noexcept { return broadcasting_; }
  std::shared_ptr<thread_rendezvous> open_rendezvous();
  void arrive_and_wait(thread_rendezvous& r);
  void await_all(thread_rendezvous& r);
  void abort_if_open(thread_rendezvous& r) noexcept;

  // If only threads that wait for a broadcast could run the other tasks, the broadcast is aborted,
  // and no thread gets an error here.
  bool begin_waiting(runtime::waiting_scope& scope) override;
  void end_waiting(runtime::waiting_scope& scope) noexcept override;

 private:
  struct worker {
    std::thread thread;
    bool alive = false, busy = false;
    std::size_t tasks_done = 0;
  };

  void check_open() const REQUIRES(mutex_);
  void start_thread() REQUIRES(mutex_);
  void work(std::size_t index);
  bool initialize(std::size_t index) noexcept;
  void break_with(std::string why) noexcept;
  local_task* take(std::unique_lock<std::mutex>& lock, worker& own) REQUIRES(mutex_);
  local_task* take_all() noexcept REQUIRES(mutex_);
  void leave(std::size_t index) noexcept;
  void wait_for_the_end();
  bool deadlocked() const noexcept REQUIRES(mutex_);
  void abort(std::exception_ptr why) noexcept REQUIRES(mutex_);
  void abort_stuck() noexcept REQUIRES(mutex_);

  const home_process home_;
  const thread_pool_options options_;
  const int max_workers_;
  const std::string name_;
  const error_handler on_error_;

  mutable base::mutex mutex_;
  std::condition_variable work_cv_, ended_cv_, rendezvous_cv_;
  local_task *first_ GUARDED_BY(mutex_) = nullptr, *last_ GUARDED_BY(mutex_) = nullptr;
  std::size_t queued_ GUARDED_BY(mutex_) = 0, submitted_ GUARDED_BY(mutex_) = 0;
  std::size_t idle_ GUARDED_BY(mutex_) = 0, alive_ GUARDED_BY(mutex_) = 0;
  std::size_t closing_ GUARDED_BY(mutex_) = 0;  // threads of the pool that are in shutdown()
  std::vector<std::unique_ptr<worker>> workers_ GUARDED_BY(mutex_);
  runtime::waiting_threads waiting_ GUARDED_BY(mutex_);
  thread_rendezvous* rendezvous_ GUARDED_BY(mutex_) = nullptr;  // the open one, if any
  std::string broken_ GUARDED_BY(mutex_);                       // why; empty: not broken
  bool stopping_ GUARDED_BY(mutex_) = false, abandoned_ GUARDED_BY(mutex_) = false;
  bool registered_ GUARDED_BY(mutex_) = false;  // with the exit hook
  std::mutex broadcasting_;  // held by the caller of a broadcast, taken before mutex_
};

}  // namespace procpool::detail
