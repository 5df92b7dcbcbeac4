#include <cerrno>
#include <chrono>
#include <mutex>
#include <optional>
#include <span>

#include "base/per_process.hpp"
#include "launch/protocol.hpp"
#include "launch/start_server.hpp"
#include "os/error.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/private_fds.hpp"
#include "procpool/errors.hpp"

namespace procpool::launch {
namespace {

struct master {
  std::mutex mutex;
  os::private_fd control;  // empty: no master
  os::private_fd process;  // the master's pidfd; empty on systems without pidfds

  // Ends the master by closing its socket, and reaps it if it belongs to this process.
  void forget() noexcept {
    control.reset();
    if (process.is_ours()) {
      os::poll_one(process.get(), os::poll_for::input, std::chrono::seconds(2));
      os::pidfd_reap(process.get());
    }
    process.reset();
  }
};

// The master leaves when this process ends. A process that the program forks has its own master.
constinit base::per_process<master> masters;
master& the_master() { return masters.get(); }

void execute_master(master& m) {
  os::socket_pair pair = os::make_socket_pair();
  os::private_fd ours(std::move(pair.first));
  os::private_fd theirs(std::move(pair.second));
  const os::private_fd self(own_pidfd());
  hello greeting;
  greeting.kind = server_kind::master;
  greeting.has_parent_pidfd = static_cast<bool>(self);
  const int fds[] = {self.get()};
  const int error =
      send_struct(ours.get(), greeting, std::span(fds, self ? 1 : 0), os::blocking::no);
  if (error != 0) os::throw_error(-error, "cannot greet the fork server");
  const pid_t pid = start_by_exec(theirs.get());
  theirs.reset();  // else the server's end would go unnoticed
  server_process server = await_ready(ours.get(), pid);
  m.process = os::private_fd(std::move(server.pidfd));
  m.control = std::move(ours);
}

// Empty when the master is gone.
std::optional<report> ask(int control, int server_end) {
  command request;
  request.what = command::op::serve_pool;
  const int error = send_struct(control, request, {&server_end, 1}, os::blocking::no);
  if (error == -EPIPE || error == -ECONNRESET) return std::nullopt;
  if (error != 0) os::throw_error(-error, "cannot ask the fork server for a pool");
  constexpr std::chrono::seconds limit{30};
  if (!os::poll_one(control, os::poll_for::input, limit).readable) {
    // A late answer would be taken for the answer to the next request.
    the_master().forget();
    throw procpool::error("procpool: the fork server did not answer within 30 s");
  }
  report answer;
  const auto received = receive_struct(control, answer, os::blocking::no);
  if (received.size <= 0) return std::nullopt;
  return answer;
}

}  // namespace

pid_t start_by_master(int server_end) {
  master& m = the_master();
  const std::lock_guard lock(m.mutex);
  for (int attempt = 0; attempt < 2; ++attempt) {
    // The program may have closed the socket: then the master has left.
    if (m.control && !m.control.is_ours()) m.forget();
    if (!m.control) execute_master(m);
    if (const auto answer = ask(m.control.get(), server_end)) {
      if (answer->error != 0) os::throw_error(answer->error, "the fork server cannot fork");
      return answer->pid;
    }
    m.forget();  // the master was killed: execute another
  }
  throw error("procpool: the fork server of this process ends again and again");
}

void stop_master() noexcept {
  master* const m = masters.existing();
  if (m == nullptr) return;
  const std::lock_guard lock(m->mutex);
  m->forget();
}

}  // namespace procpool::launch
