// The exceptions that procpool itself throws.
//
// One hierarchy under procpool::error, which is a std::runtime_error, so that a caller can catch as
// widely or as narrowly as it likes. Failures of the operating system that do not concern a task
// are std::system_error; bad arguments to a constructor are std::invalid_argument. An exception of
// a task is rethrown as its own type (see procpool/exception.hpp).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "procpool/export.hpp"
#include "procpool/time.hpp"

namespace procpool {

// The base of all procpool exceptions.
class PROCPOOL_EXPORT error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  error(const error&) = default;
  error& operator=(const error&) = default;
  ~error() override;
};

// The future was cancelled before its task ran, or its task was killed by cancel(kill_running).
class PROCPOOL_EXPORT cancelled_error : public error {
 public:
  cancelled_error();
  using error::error;
  ~cancelled_error() override;
};

// The time limit of a wait is over: get_for, as_completed, map with a timeout. The task continues,
// unless the function that threw says otherwise.
class PROCPOOL_EXPORT timeout_error : public error {
 public:
  using error::error;
  ~timeout_error() override;
};

// Facts about a worker that died while it ran a task.
struct death_record {
  std::string label;  // task_options::label, or empty
  pid_t pid = 0;      // the worker's process id
  int signal = 0;     // the signal that ended the worker; 0 if it ended with exit or _exit
  int exit_code = 0;  // its exit status; 0 if a signal ended it
  int attempt = 1;    // 1 for the first run, 2 for the first retry ...
  bool core_dumped = false;
  bool with_pool = false;   // by terminate_workers, kill_workers or the timeout of shutdown
  bool will_retry = false;  // true only in reports to on_worker_death: the task runs again
  std::string trace = {};   // the raw form of backtrace()
  std::string stderr_tail = {};
  std::string cause = {};    // the reason that the worker itself gave when it left; mostly empty
  duration time_limit = {};  // the limit for which the pool killed the worker; 0: another reason
};

// Base of the errors of tasks whose worker was killed or died.
class PROCPOOL_EXPORT task_killed : public error {
 public:
  task_killed(const std::string& what, death_record record);
  ~task_killed() override;

  const std::string& label() const noexcept { return record_.label; }
  pid_t pid() const noexcept { return record_.pid; }
  int signal() const noexcept { return record_.signal; }
  int exit_code() const noexcept { return record_.exit_code; }
  int attempt() const noexcept { return record_.attempt; }
  bool core_dumped() const noexcept { return record_.core_dumped; }
  bool will_retry() const noexcept { return record_.will_retry; }

  // The call stack at the moment when a fault (SIGSEGV, SIGABRT ...) ended the worker, the
  // innermost call first: "decode(image const&)+0x1f (/usr/lib/libphoto.so 0x3c1f)". The address is
  // for addr2line -e. A function without a name in its file is "?". Empty for other deaths, and
  // when the task or a sanitizer handles the signal itself. Reads those files: blocks for
  // milliseconds.
  std::vector<std::string> backtrace() const;

  // The end of the worker's standard error, at most 4 KiB, including earlier tasks: messages of
  // assert, malloc or std::terminate. Empty without pool_options::capture_stderr.
  const std::string& stderr_tail() const noexcept { return record_.stderr_tail; }

 protected:
  const death_record& record() const noexcept { return record_; }

 private:
  death_record record_;
};

// The worker died while it ran this task: a signal, exit, _exit, abort, std::terminate, the
// out-of-memory killer. Only this task is affected.
class PROCPOOL_EXPORT worker_crashed : public task_killed {
 public:
  explicit worker_crashed(const death_record& record);
  ~worker_crashed() override;
};

// The task ran longer than task_options::time_limit, and its worker was killed. Only this task is
// affected.
class PROCPOOL_EXPORT task_timeout : public task_killed {
 public:
  explicit task_timeout(const death_record& record);
  ~task_timeout() override;

  duration limit() const noexcept { return record().time_limit; }
};

// An executor that can no longer make progress: base of the next two classes.
class PROCPOOL_EXPORT broken_executor : public error {
 public:
  using error::error;
  ~broken_executor() override;
};

// The pool can no longer make progress: its initializer fails, its workers die repeatedly before
// any task, its fork server cannot be started, the program has closed descriptors of the pool, or
// the workers of an ended pool cannot be killed. The message includes the cause's message.
class PROCPOOL_EXPORT broken_process_pool : public broken_executor {
 public:
  using broken_executor::broken_executor;
  ~broken_process_pool() override;
};

// The initializer of a thread pool threw. The message includes the message of its exception.
class PROCPOOL_EXPORT broken_thread_pool : public broken_executor {
 public:
  using broken_executor::broken_executor;
  ~broken_thread_pool() override;
};

// submit or map after shutdown.
class PROCPOOL_EXPORT shutdown_error : public error {
 public:
  using error::error;
  ~shutdown_error() override;
};

// A task or a forked process used an executor or a future of another process, or a task made an
// executor.
class PROCPOOL_EXPORT nested_use_error : public error {
 public:
  using error::error;
  ~nested_use_error() override;
};

// An operation on a future or another object in a state that does not allow the operation.
class PROCPOOL_EXPORT invalid_state_error : public error {
 public:
  using error::error;
  ~invalid_state_error() override;
};

// A barrier broke while the caller waited at it, or before: another party is gone or was late, or a
// thread called abort() or reset().
class PROCPOOL_EXPORT broken_barrier_error : public error {
 public:
  using error::error;
  ~broken_barrier_error() override;
};

// put() into a closed queue, or get() from a queue that is closed and empty.
class PROCPOOL_EXPORT queue_closed_error : public error {
 public:
  using error::error;
  ~queue_closed_error() override;
};

// start_method::fork while threads other than procpool's own run.
class PROCPOOL_EXPORT unsafe_fork_error : public error {
 public:
  using error::error;
  ~unsafe_fork_error() override;
};

// The process of a manager has ended, or is about to, or a remote_server cannot be reached: the
// called function may have run or not, and the objects are gone.
class PROCPOOL_EXPORT manager_lost_error : public error {
 public:
  using error::error;
  ~manager_lost_error() override;
};

// The other end of a connection to or from a remote_server does not know the key, or messages were
// changed on the way.
class PROCPOOL_EXPORT authentication_error : public error {
 public:
  using error::error;
  ~authentication_error() override;
};

// Bytes that do not decode: truncated, oversized, or of another type.
class PROCPOOL_EXPORT codec_error : public error {
 public:
  using error::error;
  ~codec_error() override;
};

// The task threw an exception that cannot be rebuilt here. Also nested in each rebuilt exception,
// where it says in which worker and in which task the exception was thrown.
class PROCPOOL_EXPORT remote_error : public error {
 public:
  // type_name: the exception's type as the worker knew it. message: its what(). where: a line such
  // as "worker 1 (pid 4711), task 'resize', int decode(std::string)"; empty if not known.
  remote_error(std::string type_name, const std::string& message, std::string where);
  ~remote_error() override;

  const std::string& type_name() const noexcept { return type_name_; }
  const std::string& where() const noexcept { return where_; }

 private:
  std::string type_name_;
  std::string where_;
};

}  // namespace procpool
