#include "launch/start_server.hpp"

#include <cerrno>
#include <string>
#include <system_error>

#include "launch/fork_server_client.hpp"
#include "launch/protocol.hpp"
#include "launch/role.hpp"
#include "os/child_setup.hpp"
#include "os/children.hpp"
#include "os/error.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "procpool/errors.hpp"

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
    throw error("procpool: the fork server could not load " + this_copy() +
                ", which this program has procpool from: the file must be where it was, and must "
                "not need that the program has loaded something else before");
  }
  os::throw_error(answer.error, "the fork server cannot start");
}

// A pid may have come to mean another process. This one has not, if the server still holds its end
// of the socket after the pidfd has been opened.
void kill_silent_server(int parent_end, pid_t pid) noexcept {
  if (pid == 0) return;
  const os::unique_fd pidfd = os::open_pidfd(pid);
  if (!pidfd) return;
  if (os::poll_one(parent_end, os::poll_for::nothing, std::chrono::milliseconds(0)).hung_up) return;
  os::pidfd_signal(pidfd.get(), 9);
}

// One that has failed is about to end. Where orphans come to this process, nobody else reaps it.
void reap_failed_server(pid_t pid) noexcept {
  if (pid == 0 || !os::adopts_orphans()) return;
  const os::unique_fd pidfd = os::open_pidfd(pid);
  if (!pidfd) return;
  os::poll_one(pidfd.get(), os::poll_for::input, std::chrono::seconds(2));
  os::pidfd_reap(pidfd.get());
}

server_process hear_ready(int parent_end, pid_t pid) {
  const auto limit = std::chrono::milliseconds(fork_server_client::start_timeout);
  if (!os::poll_one(parent_end, os::poll_for::input, limit).readable) {
    kill_silent_server(parent_end, pid);
    throw error("procpool: the fork server did not answer within 30 s");
  }
  ready answer;
  auto received = receive_struct(parent_end, answer, os::blocking::no);
  if (received.size == 0 || received.size == -ECONNRESET) {
    throw error(
        "procpool: the fork server ended before it was ready: a constructor of a static object may "
        "have ended the program, or it cannot be executed");
  }
  if (received.size < 0) {
    os::throw_error(static_cast<int>(-received.size), "cannot hear from the fork server");
  }
  if (answer.error != 0) refused(answer);
  server_process server;
  server.pid = answer.pid;
  if (received.fd_count == 1) server.pidfd = std::move(received.fds[0]);
  return server;
}

}  // namespace

server_process await_ready(int parent_end, pid_t pid) {
  try {
    return hear_ready(parent_end, pid);
  } catch (...) {
    reap_failed_server(pid);
    throw;
  }
}

os::unique_fd own_pidfd() noexcept { return os::open_pidfd(os::this_process()); }

}  // namespace procpool::launch
