// What the templates of thread_pool_executor need of the compiled pool, which is opaque here.
#pragma once

#include <atomic>
#include <cstddef>

#include "procpool/detail/std/memory.hpp"
#include "procpool/detail/std/mutex.hpp"
#include "procpool/detail/task/local_task.hpp"
#include "procpool/options.hpp"
#include "procpool/stats.hpp"

namespace procpool::detail {

class thread_pool;
struct thread_rendezvous;

// Shared by the executor, its maps and its threads; empty outside of the parent.
using thread_pool_ptr = std::shared_ptr<thread_pool>;

// The pool, or throws nested_use_error.
PROCPOOL_EXPORT thread_pool& use(const thread_pool_ptr& pool);

struct local_release {
  void operator()(local_task* t) const noexcept { t->release(); }
};
using local_ptr = std::unique_ptr<local_task, local_release>;

// Throws shutdown_error, broken_thread_pool, std::system_error, and std::invalid_argument for
// options that need processes.
PROCPOOL_EXPORT state_ptr commit(const thread_pool_ptr& pool, local_ptr task,
                                 const task_options* options);
PROCPOOL_EXPORT const error_handler& on_error_of(const thread_pool_ptr& pool);
PROCPOOL_EXPORT int max_workers_of(const thread_pool_ptr& pool);

// How the tasks of a broadcast begin together: each thread waits in its task until all threads of
// the pool have arrived in theirs. This is the caller's side, for one thread.
class PROCPOOL_EXPORT thread_broadcast {
 public:
  using rendezvous_ptr = std::shared_ptr<thread_rendezvous>;  // shared with the tasks

  // Blocks while another broadcast of the pool is under way. Starts the threads that are missing.
  // Throws nested_use_error in a thread of the pool, std::system_error if a thread cannot be
  // started, shutdown_error, broken_thread_pool.
  explicit thread_broadcast(const thread_pool_ptr& pool);
  ~thread_broadcast();  // aborts the broadcast, unless await_all() has returned
  thread_broadcast(const thread_broadcast&) = delete;
  thread_broadcast& operator=(const thread_broadcast&) = delete;

  // How many tasks have to arrive.
  std::size_t places() const noexcept;
  const rendezvous_ptr& rendezvous() const noexcept { return rendezvous_; }
  // Blocks until all threads have arrived. Throws the reason if the broadcast was aborted.
  void await_all();

 private:
  thread_pool& pool_;
  std::unique_lock<std::mutex> turn_;
  rendezvous_ptr rendezvous_;
};
// In a task: blocks until all have arrived. Throws std::runtime_error if the broadcast was aborted.
PROCPOOL_EXPORT void arrive_and_wait(const thread_broadcast::rendezvous_ptr& rendezvous);

class PROCPOOL_EXPORT owned_thread_pool {
 public:
  explicit owned_thread_pool(thread_pool_options options);
  // shutdown(), unless shutdown({.wait = false}) came before; during stack unwinding it cancels the
  // tasks that have not started.
  ~owned_thread_pool();
  owned_thread_pool(const owned_thread_pool&) = delete;
  owned_thread_pool& operator=(const owned_thread_pool&) = delete;

  const thread_pool_ptr& get() const noexcept { return pool_; }
  void shutdown(const shutdown_options& options);
  pool_stats stats() const;

 private:
  thread_pool_ptr pool_;
  int uncaught_ = 0;                    // exceptions in flight at construction
  std::atomic<bool> released_ = false;  // shutdown({.wait = false}) was called
};

}  // namespace procpool::detail
