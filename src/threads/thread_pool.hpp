// Threads that run local_tasks.
//
//   commit: into the queue; a new thread if none is idle for it
//   thread: the initializer, then task after task; the outcome of one is published when it is known
//           whether the thread is idle, so that whoever waited for it finds the thread free
//
//   broadcast: all threads are started; one task for each is queued, and waits in its thread until
//           all are there. Where one thread can never come, the meeting is called off
//
// One mutex guards all of it. It is never held while code of the user runs or somebody is told.
// Lifetime: the executor, maps and threads share it. A thread is joined by shutdown; after the
// executor let go, it detaches itself.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "procpool/detail/executor/thread_access.hpp"
#include "runtime/blocking_guard.hpp"

namespace procpool::detail {

// Where the tasks of one broadcast meet. Under the pool's mutex.
struct thread_rendezvous {
  thread_rendezvous(thread_pool& p, std::size_t n) : pool(p), places(n) {}
  bool is_over() const { return here == places || abort_reason; }

  thread_pool& pool;  // outlives its threads, and the caller
  const std::size_t places;
  std::size_t here = 0;             // tasks that have come
  std::exception_ptr abort_reason;  // why
};

class thread_pool final : public runtime::thread_group,
                          public std::enable_shared_from_this<thread_pool> {
 public:
  // Throws std::invalid_argument.
  explicit thread_pool(thread_pool_options options);
  ~thread_pool();

  // Takes one reference over, unless it throws.
  void commit(local_task* task);
  void shutdown(const shutdown_options& options);
  void abandon() noexcept;  // the executor is gone
  int max_workers() const noexcept { return max_workers_; }
  // False in a copy of the process that has made it.
  bool is_here() const noexcept { return home_.is_here(); }
  pool_stats stats() const;
  const error_handler& on_error() const noexcept { return on_error_; }
  bool has_this_thread() const noexcept { return runtime::current_group() == this; }
  // At exit: whatever is left runs, or is cancelled.
  static void finish_all(bool cancel) noexcept;

  // thread_rendezvous.cpp. Of one at a time, whose caller holds `broadcasting()`.
  std::mutex& broadcasting() noexcept { return broadcasting_; }
  std::shared_ptr<thread_rendezvous> open_rendezvous();
  void arrive_and_wait(thread_rendezvous& m);
  void await_all(thread_rendezvous& m);
  void abort_if_open(thread_rendezvous& m) noexcept;

  // If threads that come to a broadcast are all that is missing, the broadcast is aborted.
  bool begin_waiting(runtime::waiting_scope& scope) override;
  void end_waiting(runtime::waiting_scope& scope) noexcept override;

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
  void break_with(std::string why) noexcept;
  local_task* take(std::unique_lock<std::mutex>& lock, seat& own);
  local_task* take_all() noexcept;
  void leave(std::size_t index) noexcept;
  void wait_for_the_end();
  bool deadlocked() const noexcept;
  void abort(std::exception_ptr why) noexcept;
  void abort_stuck() noexcept;

  const home_process home_;
  const thread_pool_options options_;
  const int max_workers_;
  const std::string name_;
  const error_handler on_error_;

  mutable std::mutex mutex_;
  std::condition_variable work_cv_, ended_cv_, rendezvous_cv_;
  local_task *first_ = nullptr, *last_ = nullptr;
  std::size_t queued_ = 0, submitted_ = 0, idle_ = 0, alive_ = 0;
  std::size_t closing_ = 0;  // threads of the pool that are in shutdown()
  std::vector<std::unique_ptr<seat>> seats_;
  runtime::waiting_threads waiting_;
  thread_rendezvous* rendezvous_ = nullptr;  // that is not over
  std::string broken_;                       // why; empty: it is not
  bool stopping_ = false, abandoned_ = false, exit_hook_set_ = false;
  std::mutex broadcasting_;  // held by the caller of a broadcast, before the other one
};

}  // namespace procpool::detail
