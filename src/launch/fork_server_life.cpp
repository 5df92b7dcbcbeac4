// The start and the end of a pool's fork server, on the parent's side.
#include <exception>
#include <memory>
#include <span>
#include <utility>

#include "launch/fork_server_client.hpp"
#include "launch/fork_server_state.hpp"
#include "launch/protocol.hpp"
#include "launch/start_server.hpp"
#include "os/child_setup.hpp"
#include "os/children.hpp"
#include "os/error.hpp"
#include "os/pidfd.hpp"
#include "os/pipe.hpp"
#include "os/poll.hpp"
#include "os/private_fds.hpp"
#include "procpool/errors.hpp"
#include "runtime/process_role.hpp"

namespace procpool::launch {

using namespace std::chrono_literals;

// --- start ---------------------------------------------------------------------------------------

namespace {

pid_t start_process(const server_config& config, int server_end) {
  switch (config.start) {
    case start_method::fork:
      return start_by_fork(server_end);
    case start_method::forkserver:
      return start_by_master(server_end);
    case start_method::spawn:
      break;
  }
  return start_by_exec(server_end, config.environment);
}

// Any failure of the server's start leaves the pool without workers and becomes
// broken_process_pool. An unsafe fork is a mistake of the program, and keeps its own error type.
server_process start_server(const server_config& config, os::private_fd server_end,
                            int parent_end) {
  try {
    const pid_t pid = start_process(config, server_end.get());
    server_end.reset();
    return await_ready(parent_end, pid);
  } catch (const unsafe_fork_error&) {
    throw;
  } catch (const std::exception& cause) {
    std::throw_with_nested(broken_process_pool(cause.what()));
  }
}

}  // namespace

// Called before the server exists: the message waits in the socket.
void fork_server_client::state::greet(const server_config& config, os::unique_fd lifeline_writer) {
  const os::private_fd writer(std::move(lifeline_writer));
  const os::private_fd self(own_pidfd());
  hello greeting;
  greeting.kind = server_kind::pool;
  greeting.has_parent_pidfd = static_cast<bool>(self);
  greeting.has_stderr = config.stderr_fd >= 0;
  greeting.has_spare = config.spare;
  greeting.has_stdin = config.stdin_fd >= 0;
  greeting.has_interrupts = config.interrupts;
  greeting.parent = os::this_process();
  int fds[6] = {config.region_fd, config.page_fd, writer.get()};
  std::size_t count = 3;
  if (self) fds[count++] = self.get();
  if (config.stderr_fd >= 0) fds[count++] = config.stderr_fd;
  if (config.stdin_fd >= 0) fds[count++] = config.stdin_fd;
  const int error = send_struct(control.get(), greeting, std::span(fds, count), os::blocking::no);
  if (error != 0) os::throw_error(-error, "cannot greet the fork server");
}

std::unique_ptr<fork_server_client> fork_server_client::start(const server_config& config) {
  if (runtime::current_role() != runtime::process_role::parent) {
    throw nested_use_error(
        "procpool: only the program itself can have worker processes, not a task "
        "and not a process that a task has forked");
  }
  runtime::install_fork_handlers();
  auto s = std::make_unique<state>();
  os::socket_pair pair = os::make_socket_pair();
  s->control = os::private_fd(std::move(pair.first));
  os::private_fd server_end(std::move(pair.second));
  os::pipe_ends lifeline = os::try_make_pipe();
  if (!lifeline.reader) os::throw_errno("cannot create a pipe");
  s->lifeline = os::private_fd(std::move(lifeline.reader));
  s->greet(config, std::move(lifeline.writer));

  server_process started = start_server(config, std::move(server_end), s->control.get());
  s->server = started.pid;
  s->server_pidfd = os::private_fd(std::move(started.pidfd));
  if (int error = s->events.add(s->control.get()); error != 0) {
    os::throw_error(error, "cannot watch the fork server");
  }
  return std::unique_ptr<fork_server_client>(new fork_server_client(std::move(s)));
}

fork_server_client::fork_server_client(std::unique_ptr<state> s) noexcept : state_(std::move(s)) {}
fork_server_client::~fork_server_client() { stop(default_grace); }

int fork_server_client::event_fd() const noexcept { return state_->events.fd(); }
pid_t fork_server_client::server_pid() const noexcept { return state_->server; }

// --- end -----------------------------------------------------------------------------------------

// Process 1 adopts and reaps the workers of a dead server. If this process adopts them (it is
// process 1, or a subreaper), their pids cannot be reused before this function reaps them. They are
// dead or dying, so the wait is short. A worker that the server forked in its last moment, without
// a report, is found by its name.
void fork_server_client::state::reap_adopted() noexcept {
  for (const pid_t pid : adopted) os::reap(pid);
  if (spare != 0) os::reap(spare);
  adopted.clear();
  spare = 0;
}

// Reads the last reports for their pids, in case those processes end with the server.
void fork_server_client::state::hear_the_last() {
  constexpr std::uint32_t most = 4 * max_seats;
  for (std::uint32_t i = 0; control.is_ours() && i < most; ++i) {
    report message;
    auto received = receive_struct(control.get(), message, os::blocking::no);
    if (received.size <= 0 && received.size != -ECONNRESET) return;
    if (received.size > 0) translate(message, {});
  }
}

void fork_server_client::stop(std::chrono::milliseconds grace) noexcept {
  state& s = *state_;
  s.hear_the_last();
  s.finished = true;
  {
    const base::lock_guard lock(s.mutex);
    if (!s.has_descriptors()) s.forget_descriptors();
    if (s.control.is_ours()) {
      s.events.remove(s.control.get());
      command farewell;
      farewell.what = command::op::farewell;
      s.send(farewell);
    }
    s.control.reset();  // tells the server to leave
    s.unsent.clear();
  }
  s.wait_for_end(grace);
  const base::lock_guard lock(s.mutex);
  s.workers.clear();
}

void fork_server_client::state::wait_for_end(std::chrono::milliseconds grace) {
  if (!lifeline.is_ours()) return;
  if (!server_pidfd) {
    all_dead(grace);
  } else {
    if (!os::pidfd_dead(server_pidfd.get(), grace)) {
      os::pidfd_signal(server_pidfd.get(), killed_signal);
      // The kernel sends its workers SIGKILL when it dies.
      os::pidfd_dead(server_pidfd.get(), default_grace);
      all_dead(default_grace);
    }
    os::pidfd_reap(server_pidfd.get());
  }
  if (os::adopts_orphans() && all_dead(default_grace)) {
    {
      const base::lock_guard lock(mutex);
      for (const auto& [seat, worker] : workers) {
        if (worker.pid != 0) adopted.push_back(worker.pid);
      }
    }
    reap_adopted();
    os::reap_zombies_named(server_name);
    // A worker without a report has closed its descriptors, and will be dead in a moment.
    for (const std::chrono::milliseconds moment : {1ms, 20ms}) {
      if (!server_lost) break;
      os::poll_items({}, moment);
      os::reap_zombies_named(server_name);
    }
  }
  lifeline.reset();
}

}  // namespace procpool::launch
