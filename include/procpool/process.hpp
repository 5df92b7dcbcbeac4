// procpool::process: one child process, as std::jthread is one thread.
//
//   procpool::process p(serve, 8080);                  // serve(8080) in a process of its own
//   procpool::process q([&] { use(table); });          // captures: a copy of this process
//   q.join();
//   if (q.exit_code() != 0) ...
//
// A task function (a function, a captureless lambda, a procpool::partial; see
// docs/guide/independent-tasks.md) starts in a fresh copy of the program, by way of a fork server
// that all process objects share; its arguments are encoded as those of a task. A function with
// captures, or start_method::fork, makes a copy of this process, which is possible only while no
// other threads than the library's own run.
//
// In the process: standard input is /dev/null, signals have their default actions, stdout and
// stderr go to the same places as this program's. The process ends when f returns, with code 0; if
// f throws, the exception's text goes to stderr, and the code is 1; exit(n) and _exit(n) give n.
// Executors of its parent throw nested_use_error there, and new ones cannot be made. It dies with
// its parent.
//
// Handles of shared objects that are passed keep their objects here until the process has ended.
//
// Movable, not copyable. Several threads may use the const members and the signals at once; all
// threads that join get the same code. An empty object (default constructed, moved from) throws
// invalid_state_error; in a process that was forked from this one the members throw
// nested_use_error.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "procpool/detail/rpc/process_start.hpp"
#include "procpool/export.hpp"
#include "procpool/options.hpp"

namespace procpool {

struct process_options {
  // fork: a copy of this process, also for a function without captures. The others: by way of the
  // fork server, which for a function with captures is std::invalid_argument. Default: a copy for a
  // function with captures, and else the fork server.
  std::optional<start_method> start = {};
  // As ps shows it (15 characters at most) and errors name it. Default: the program's.
  std::string name = {};
};

class PROCPOOL_EXPORT process {
 public:
  process() noexcept = default;  // empty

  // Blocks until the process has started: for about a millisecond, or, for the first one of a
  // program, as long as executing the program again takes. Throws std::system_error (EAGAIN: too
  // many processes; EMFILE: no file descriptor is left; EBADF: this program has closed descriptors
  // of the library; ETIMEDOUT: it did not start within a minute), unsafe_fork_error,
  // nested_use_error in a task or another process, procpool::error when no fork server can run, and
  // exceptions of the arguments' codecs.
  template <class F, class... Args>
    requires(!std::is_same_v<F, process> && !std::is_same_v<F, process_options>)
  explicit process(F f, Args&&... args)
      : process(process_options{}, std::move(f), std::forward<Args>(args)...) {}
  template <class F, class... Args>
  explicit process(const process_options& options, F f, Args&&... args) {
    if constexpr (detail::is_task_function<F>) {
      if (options.start != start_method::fork) {
        detail::noting_writer task;
        detail::task_call<F, Args...>::pack(task, f, args...);
        start(options, &detail::task_call<F, Args...>::run_and_drop, task);
        return;
      }
    }
    using closure = detail::process_closure<F, std::decay_t<Args>...>;
    start(options, std::make_unique<closure>(std::move(f), std::forward<Args>(args)...));
  }

  process(process&& other) noexcept = default;
  process& operator=(process&& other) noexcept;  // ends what was there, as the destructor does
  process(const process&) = delete;
  process& operator=(const process&) = delete;
  // Sends SIGTERM; after 5 s, SIGKILL; then waits for 5 s more. A process that has not ended by
  // then (frozen, blocked in the kernel, out of reach) is left to its fork server, with a line on
  // standard error. Does nothing when the process has ended, or in a process that was forked from
  // this one.
  ~process();

  bool valid() const noexcept { return child_ != nullptr; }

  pid_t pid() const;  // also after its end; the system may then have reused the number
  const std::string& name() const;
  bool is_alive() const;
  // Empty while the process is alive. -N: signal N has killed it.
  std::optional<int> exit_code() const;

  // Blocks until the process ends; any number of times. join_for: false if it is still alive.
  void join() const;
  bool join_for(duration limit) const;

  // Signals; no effect when the process has ended, and none on any other process. kill: SIGKILL,
  // interrupt: SIGINT, which ends a process that does not handle it. If the system refuses the
  // signal because this program has dropped its rights (setuid), the fork server sends it; throws
  // std::system_error (EPERM) if the fork server cannot be asked, either. There is no promise that
  // the fork server may signal a process that has itself changed its user.
  void terminate() const { signal(SIGTERM); }
  void kill() const { signal(SIGKILL); }
  void interrupt() const { signal(SIGINT); }

  // Readable, in the sense of poll(), when the process has ended. A pidfd where the system has
  // them. Close-on-exec; belongs to this object.
  int pidfd() const;

 private:
  void start(const process_options& options, detail::run_thunk thunk, detail::noting_writer& task);
  void start(const process_options& options, std::unique_ptr<detail::process_body> body);
  void signal(int number) const;
  parent::child_process& use() const;
  void end() noexcept;
  void end_at_once() noexcept;  // by SIGKILL
  friend class manager;

  std::shared_ptr<parent::child_process> child_;
};

}  // namespace procpool
