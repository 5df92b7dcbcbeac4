// The state of a fork_server_client, which its two files share: fork_server_client.cpp (requests
// and events) and fork_server_life.cpp (the server's start and its end).
//
// Descriptors of one client:
//
//   control    the socket to the server; its end means that the server is dead
//   lifeline   read end of a pipe whose write end only the server and its workers have: its end
//              means that all of them are dead, also those of which nothing else is known
//   pidfds     of the server and of each worker: signals that never hit another process, and the
//              proof of a worker's death when the server cannot give it any more
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
  pid_t pid = 0;         // 0: requested, and not answered yet
  os::private_fd pidfd;  // empty: not answered yet, or the kernel has none
};

struct fork_server_client::state {
  os::private_fd control;
  os::private_fd lifeline;
  pid_t server = 0;
  os::private_fd server_pidfd;  // empty where there are none
  pid_t spare = 0;
  std::vector<pid_t> adopted;  // workers that a dead server has left
  os::event_set events;
  bool server_lost = false;
  // Since when the server owes an answer, or since it was sent SIGCONT for that.
  std::optional<std::chrono::steady_clock::time_point> silent_since;
  std::chrono::steady_clock::time_point in_debt_since;  // if silent_since: without SIGCONT
  bool finished = false;  // server_gone was returned, or stop() called

  base::mutex mutex;  // signal_worker() comes from any thread
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
