// The state of a fork_server_client, shared by its two source files: fork_server_client.cpp
// (requests and events) and fork_server_life.cpp (the server's start and end).
//
// Descriptors of one client:
//
//   control    the socket to the server; its end means that the server is dead
//   lifeline   read end of a pipe whose write end only the server and its workers have: its end
//              means that all of them are dead, also workers of which nothing else is known
//   pidfds     of the server and of each worker: to send signals that never reach another process,
//              and to prove a worker's death when the server cannot report it any more
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "base/guarded.hpp"
#include "launch/fork_server_client.hpp"
#include "launch/protocol.hpp"
#include "os/poll.hpp"
#include "os/private_fds.hpp"

namespace procpool::launch {

inline constexpr int killed_signal = 9;

struct known_worker {
  std::uint32_t incarnation = 0;
  pid_t pid = 0;         // 0: requested, without an answer yet
  os::private_fd pidfd;  // empty: no answer yet, or the kernel has no pidfds
};

struct fork_server_client::state {
  os::private_fd control;
  os::private_fd lifeline;
  pid_t server = 0;
  os::private_fd server_pidfd;  // empty on systems without pidfds
  pid_t spare = 0;
  std::vector<pid_t> adopted;  // workers left behind by a dead server
  os::event_set events;
  bool server_lost = false;
  // When the server began to owe an answer, or when SIGCONT was last sent to it for that.
  std::optional<std::chrono::steady_clock::time_point> silent_since;
  std::chrono::steady_clock::time_point in_debt_since;  // with silent_since; SIGCONT keeps it
  bool finished = false;  // server_gone was returned, or stop() was called

  base::mutex mutex;  // any thread may call signal_worker()
  std::map<std::uint32_t, known_worker> workers GUARDED_BY(mutex);
  std::deque<command> unsent GUARDED_BY(mutex);

  void greet(const server_config& config, os::unique_fd lifeline_writer);
  bool send(const command& message);
  bool send_or_keep(const command& message) noexcept REQUIRES(mutex);
  void flush();
  std::optional<server_event> translate(const report& message, os::unique_fd pidfd);
  void lose_server();
  bool has_descriptors() const noexcept {
    return !lifeline || (lifeline.is_ours() && events.is_ours());
  }
  void forget_descriptors() noexcept REQUIRES(mutex);
  void begin_silence() noexcept;
  bool all_dead(std::chrono::milliseconds max) const noexcept;
  void reap_adopted() noexcept;
  void hear_the_last();
  std::optional<server_event> next_death();
  bool owes_an_answer();
  void watch_silence();
  void wait_for_end(std::chrono::milliseconds grace);
};

}  // namespace procpool::launch
