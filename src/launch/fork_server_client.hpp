// The parent's end of a pool's fork server: starts the server, requests workers from it, receives
// reports of their deaths.
//
// One thread (the pool's supervisor) calls all functions but signal_worker() and server_pid(),
// which any thread may call. No function waits for the server, except start() and stop(), whose
// waits are bounded.
//
//   parent                        fork server                     worker
//   start_worker(id, argument) -> wakes its spare              -> entry(context)
//   next_event(): started      <- pid, pidfd
//   next_event(): exited       <- after waitid: the proof of death
//
// The server and all its workers die when this process dies, when the client is destroyed, and (the
// workers) when the server does.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "launch/worker_context.hpp"
#include "os/program_signals.hpp"
#include "os/unique_fd.hpp"
#include "procpool/options.hpp"
#include "shm/worker_settings.hpp"

namespace procpool::launch {

struct server_config {
  start_method start = start_method::spawn;
  int region_fd = -1;  // both remain the caller's; server and workers get copies
  int page_fd = -1;
  int stderr_fd = -1;  // the workers' standard error; -1: that of this process
  int stdin_fd = -1;   // the workers' standard input; -1: /dev/null
  // For a process that is executed for this server alone: start_method::spawn.
  const shm::variables* environment = nullptr;
  bool spare = true;        // keep one worker forked ahead
  bool interrupts = false;  // workers handle SIGINT and SIGQUIT as this process does
};

struct server_event {
  enum class kind {
    started,       // id, pid
    exited,        // id, pid, exit_kind, exit_status; the process is dead and reaped
    start_failed,  // id, error: fork() failed, and this incarnation will never run
    server_gone,   // the last event: every worker has been reported as exited before
  };
  kind what = kind::server_gone;
  seat_id id;
  pid_t pid = 0;
  int exit_kind = 0;    // CLD_EXITED, CLD_KILLED or CLD_DUMPED
  int exit_status = 0;  // exit code or signal
  // start_failed: an errno value. exited: EOWNERDEAD when the server was lost together with the
  // worker, and EBADF when the program has closed the descriptors that could prove the death. The
  // server kills all its workers in that case; memory that such a worker may write to must not be
  // used again.
  int error = 0;
};

class fork_server_client {
 public:
  // Returns when the server is ready, within start_timeout. Throws std::system_error when this
  // process lacks descriptors, unsafe_fork_error (start_method::fork while other threads run),
  // nested_use_error, and broken_process_pool when the server does not start: it has the message of
  // the cause, and the cause (std::system_error or procpool::error) is nested in it.
  static std::unique_ptr<fork_server_client> start(const server_config& config);
  static constexpr std::chrono::seconds start_timeout{30};

  ~fork_server_client();  // stop(default_grace)
  fork_server_client(const fork_server_client&) = delete;
  fork_server_client& operator=(const fork_server_client&) = delete;

  // Readable (POLLIN) when next_event() may return an event.
  int event_fd() const noexcept;
  // Never blocks. After server_gone always empty.
  std::optional<server_event> next_event();

  // False once the server is certainly dead, perhaps before next_event() reports it. Any thread.
  bool server_lives() const noexcept;
  // False once the program has closed the descriptors of this client, which it did not open. The
  // client does not use their numbers any more, since they may belong to other files now. Any
  // thread.
  bool has_descriptors() const noexcept;

  // A duplicate of the worker's pidfd; empty before `started` was reported, and on systems without
  // pidfds.
  os::unique_fd duplicate_pidfd(seat_id id) const noexcept;

  // Requests a worker and returns at once; `started` or `start_failed` answers it, or `exited` with
  // EOWNERDEAD if the server dies first. The seat must be free: its previous incarnation has
  // exited. `signals`: the signal actions of this process, with which the worker begins.
  void start_worker(seat_id id, std::uint64_t argument, const os::signal_actions& signals = {});

  // True once the server is known to be dead: the next workers need another client.
  bool lost() const noexcept;

  // How long the caller may sleep on event_fd(); negative: no limit. While the server owes an
  // answer or the report of a death, next_event() checks that it was not stopped: it sends SIGCONT
  // after longest_silence, and after longest_debt kills the server and treats it as lost.
  std::chrono::milliseconds poll_timeout() const noexcept;
  static constexpr std::chrono::milliseconds longest_silence{250};
  static constexpr std::chrono::seconds longest_debt{30};

  // Sends the signal by the worker's pidfd, or, where the kernel refuses that, through the server.
  // False if that incarnation is not known to run (any more), or if the server cannot be asked.
  // Never signals another process. True does not guarantee delivery: a worker that has changed its
  // user may be out of reach of both.
  bool signal_worker(seat_id id, int signal) noexcept;

  pid_t server_pid() const noexcept;

  // Makes the server kill and reap all its workers and leave; kills the server itself if that takes
  // longer than `grace`. No events follow. May be called repeatedly.
  void stop(std::chrono::milliseconds grace) noexcept;
  static constexpr std::chrono::milliseconds default_grace{2000};

 private:
  struct state;
  explicit fork_server_client(std::unique_ptr<state> s) noexcept;
  std::unique_ptr<state> state_;
};

}  // namespace procpool::launch
