#include "launch/start_server.hpp"

#include <cerrno>
#include <csignal>
#include <optional>
#include <string>
#include <system_error>

#include "launch/fork_server_client.hpp"
#include "launch/protocol.hpp"
#include "os/child_setup.hpp"
#include "os/children.hpp"
#include "os/environment.hpp"
#include "os/error.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "procpool/errors.hpp"
#include "runtime/process_role.hpp"

namespace procpool::launch {
namespace {

[[noreturn]] void refused(const ready& answer) {
  if (answer.error == too_many_threads) {
    throw error("procpool: the program starts threads before main() (" +
                std::to_string(answer.threads - 1) +
                " run), so that workers cannot be forked safely: start them later, or only when "
                "procpool::this_worker::index() is empty");
  }
  if (answer.error == bad_hello) {
    throw error("procpool: the fork server is another build than the program: restart the program");
  }
  if (answer.error == missing_copy) {
    throw error(
        "procpool: the fork server could not load " + runtime::this_copy() +
        ", which contains this program's procpool: the file must still be in its place, and "
        "must not need a library that the program loaded before");
  }
  os::throw_error(answer.error, "the fork server cannot start");
}

// `process` was opened when the pid was known, before this process can have reaped the server: the
// pid belongs to another process only if the server ended and process 1 reaped it very fast.
void kill_silent_server(int parent_end, const os::unique_fd& process) noexcept {
  if (!process) return;
  // That has not happened if the server still holds its end of the socket.
  if (os::poll_one(parent_end, os::poll_for::nothing, std::chrono::milliseconds(0)).hung_up) return;
  os::pidfd_signal(process.get(), 9);
}

// A server that has failed is about to end. If this process adopts orphans, no other reaps it.
void reap_failed_server(const os::unique_fd& process) noexcept {
  if (!process || !os::adopts_orphans()) return;
  os::poll_one(process.get(), os::poll_for::input, std::chrono::seconds(2));
  os::pidfd_reap(process.get());
}

// Called when the server has closed its socket without a message.
std::string why_it_ended(const os::unique_fd& process) {
  constexpr int no_loader = 127;
  const std::string seen_elsewhere = " (standard error may say more)";
  std::optional<int> status;
  if (process &&
      os::poll_one(process.get(), os::poll_for::input, std::chrono::seconds(2)).readable) {
    status = os::pidfd_wait_status(process.get());
  }
  std::string what = "procpool: the fork server ended before it was ready";
  if (!status) {
    return what +
           ": a constructor of a static object may have ended the program, a shared library of the "
           "program may be gone, or a filter of system calls does not let it run" +
           seen_elsewhere;
  }
  if (const int signal = *status & 0x7f; signal != 0) {
    return what + ", by signal " + std::to_string(signal) +
           (signal == SIGSYS    ? ": a filter of system calls (seccomp) has ended it"
            : signal == SIGKILL ? ": it was killed, perhaps because memory was short"
                                : ": a constructor of a static object may have failed") +
           seen_elsewhere;
  }
  const int code = *status >> 8 & 0xff;
  what += ", with exit status " + std::to_string(code);
  if (code == no_loader) {
    return what +
           ": the dynamic loader could not load the program or one of its shared libraries, and "
           "says on standard error which";
  }
  return what + ": a constructor of a static object may have ended the program" + seen_elsewhere;
}

server_process hear_ready(int parent_end, const os::unique_fd& process) {
  const auto limit = std::chrono::milliseconds(fork_server_client::start_timeout);
  if (!os::poll_one(parent_end, os::poll_for::input, limit).readable) {
    kill_silent_server(parent_end, process);
    throw error("procpool: the fork server did not answer within 30 s");
  }
  ready answer;
  auto received = receive_struct(parent_end, answer, os::blocking::no);
  if (received.size == 0 || received.size == -ECONNRESET) {
    throw error(why_it_ended(process));
  }
  if (received.size < 0) {
    os::throw_error(static_cast<int>(-received.size),
                    "cannot receive the answer of the fork server");
  }
  if (answer.error != 0) refused(answer);
  server_process server;
  server.pid = answer.pid;
  if (received.fd_count == 1) server.pidfd = std::move(received.fds[0]);
  return server;
}

}  // namespace

server_process await_ready(int parent_end, pid_t pid) {
  const os::unique_fd process = pid != 0 ? os::open_pidfd(pid) : os::unique_fd();
  try {
    return hear_ready(parent_end, process);
  } catch (...) {
    reap_failed_server(process);
    throw;
  }
}

void check_pid_namespace() {
  if (!os::children_have_other_pid_namespace()) return;
  throw error(
      "procpool: this process has called unshare(CLONE_NEWPID), or setns() with a pid namespace, "
      "and "
      "can start no threads since, only processes of that namespace: fork one, and make the pool "
      "in "
      "it");
}

os::unique_fd own_pidfd() noexcept { return os::open_pidfd(os::this_process()); }

}  // namespace procpool::launch
