// The options of executors, tasks and maps: plain structs whose members all have defaults, so that
// designated initializers name only the ones that differ. Values, without locks.
#pragma once

#include <cstddef>
#include <exception>
#include <optional>
#include <string>

#include "procpool/cancel.hpp"
#include "procpool/detail/std/function.hpp"
#include "procpool/errors.hpp"
#include "procpool/invocation.hpp"
#include "procpool/time.hpp"
#include "procpool/worker_options.hpp"

namespace procpool {

// How the process that forks the workers comes to be.
enum class start_method {
  fork,        // forked from this process: globals and loaded data are inherited, copy-on-write
  forkserver,  // one freshly executed server for all pools of this process
  spawn,       // the default: the program is executed again for this pool; safe while threads run
};

struct pool_options {
  // Worker processes, 1 to 4096. Default: the CPUs this process may use (affinity, cgroup quota).
  std::optional<int> max_workers = {};
  start_method start = start_method::spawn;
  // Runs in each worker before its first task. If it throws or dies, the pool is broken.
  invocation initializer = {};
  // Runs in each worker that ends in an orderly way: at shutdown, after max_tasks_per_child tasks,
  // or because of max_memory_growth. An exception of the finalizer is printed to stderr.
  invocation finalizer = {};
  // A worker is replaced after this many tasks; at least 1.
  std::optional<int> max_tasks_per_child = {};
  // A worker is replaced after a task when its own memory (not shared arrays, not files) has grown
  // by more bytes than this since its initializer; at least 1. Needs /proc.
  std::optional<std::size_t> max_memory_growth = {};
  // A worker without a task for so long ends, after its finalizer; workers start again when tasks
  // wait for them. At least 1 s, and looked at about once a second. Default: workers stay.
  std::optional<duration> idle_timeout = {};
  // Bytes of arguments of tasks that have not started (never of results). Above this limit submit()
  // waits and try_submit() returns an empty optional. Default: only the number of unfinished tasks
  // is limited.
  std::optional<std::size_t> max_pending_bytes = {};
  // Keep the end of each worker's standard error, for task_killed::stderr_tail(). All output still
  // goes to this process's standard error, but through a socket: in a worker stderr is then not a
  // terminal, /dev/stderr cannot be opened, and processes that a task leaves behind get SIGPIPE
  // after the pool has ended.
  bool capture_stderr = false;
  // Priority, environment, working directory and the like, of the worker processes.
  worker_options workers = {};
  // Unobserved errors: of detached futures, of callbacks. Default: a line on stderr. Called on the
  // pool's own threads; must not throw.
  std::function<void(std::exception_ptr)> on_error = {};
  // Called for every death of a worker in a task, including retried tasks. Called on a thread of
  // the pool.
  std::function<void(const task_killed&)> on_worker_death = {};
};

// Options of a thread_pool_executor.
struct thread_pool_options {
  // Threads, at least 1; thousands are fine for tasks that wait. Default: min(32, CPUs + 4).
  std::optional<int> max_workers = {};
  // Threads are named "<name>_0", "<name>_1" ... Default: "threads-1", "threads-2" ... for the
  // pools of this process. The system keeps 15 characters, including the number.
  std::string name = {};
  // Runs in each thread before its first task. If it throws, the pool is broken.
  std::function<void()> initializer = {};
  // As in pool_options. Called on the callback thread.
  std::function<void(std::exception_ptr)> on_error = {};
};

struct task_options {
  // Wall time from the moment the task starts in a worker; more than 0. After it the worker is
  // killed and replaced, and the future throws task_timeout. In a map the limit is that of each
  // item, which then is a task of its own: chunksize is 1. Needs processes.
  std::optional<duration> time_limit = {};
  // How often the task runs again after its worker died or its time limit was over; never after an
  // exception. At least 0.
  int retries = 0;
  // Shown in errors and reports.
  std::string label = {};
};

struct map_options {
  // Items per task, at least 1. Default: sized from the measured time per item. With
  // task_options::time_limit it is 1.
  std::optional<std::size_t> chunksize = {};
  // Items submitted but not yet taken, at least 1. Default: bounded in bytes and items.
  std::optional<std::size_t> buffersize = {};
  // For the whole map, from the call: then timeout_error, and the remaining items are cancelled.
  std::optional<duration> timeout = {};
  // How far that cancellation goes, and that of a map that ends early: its results are destroyed,
  // or an exception leaves for_each or map_reduce. By default running items continue, and the
  // executor waits for them at its end. kill_running needs processes: in a thread a running item
  // continues.
  cancel_mode cancel = cancel_mode::pending;
  // With kill_running: how long running items may take to finish before their workers are killed.
  // The map waits for them.
  duration grace = {};
  // False: results come in order of completion.
  bool ordered = true;
  // For each item, also inside a chunk.
  task_options task = {};
};

struct shutdown_options {
  // Wait until all tasks are done and the workers have ended.
  bool wait = true;
  // Cancel the tasks that have not started.
  bool cancel_futures = false;
  // With wait: tasks that still run after this time are killed. shutdown returns within 5 seconds
  // after that, also when a worker cannot be killed or is not known to be dead (it runs as another
  // user, it is frozen): then its task's future throws broken_process_pool, and its process and its
  // memory stay until it ends. Default: wait without a limit.
  std::optional<duration> timeout = {};
};

}  // namespace procpool
