// The messages between a parent and its fork servers: one struct, one packet. Both sides are the
// same build of the same program, which `protocol_version` only confirms.
//
//   parent -> server                                    server -> parent
//   hello    the server's kind, with its descriptors    ready    pid and pidfd, or an error
//   command  start or signal a worker                   report   start or end of a worker
//   command  serve one more pool (forkserver's master,  report   answer to that
//            with the pool's control socket)
//
// The end of the socket tells the server to kill all workers and leave. If no farewell came before,
// the parent has died, and the server also kills processes that tasks have left behind. (The
// parent's pidfd cannot tell the two cases apart: a dying process closes its descriptors before it
// is dead.)
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "launch/worker_context.hpp"
#include "os/program_signals.hpp"
#include "os/socket.hpp"

namespace procpool::launch {

inline constexpr int continue_signal = 18;                // SIGCONT
inline constexpr char server_name[] = "procpool server";  // also the name of its spare
inline constexpr std::uint32_t protocol_version = 0x70'70'6c'03;

enum class server_kind : std::uint32_t { pool = 1, master = 2 };

// Comes with these descriptors, in this order: for a pool the region, the page and the write end of
// the lifeline (see fork_server_state.hpp); for both kinds, if has_parent_pidfd, a pidfd of the
// parent; if has_stderr, the workers' standard error; if has_stdin, their standard input.
struct hello {
  std::uint32_t version = protocol_version;
  server_kind kind = server_kind::pool;
  std::uint32_t has_parent_pidfd = 0;
  std::uint32_t has_stderr = 0;
  std::uint32_t has_stdin = 0;
  std::uint32_t has_spare = 1;       // one worker is forked ahead
  std::uint32_t has_interrupts = 0;  // workers handle SIGINT and SIGQUIT as the program does
  pid_t parent = 0;
};

struct ready {
  pid_t pid = 0;           // comes with a pidfd, if the system has them
  std::int32_t error = 0;  // an errno value, or one of the next three constants
  std::int32_t threads = 0;
};
inline constexpr std::int32_t bad_hello = -1;         // another protocol version
inline constexpr std::int32_t too_many_threads = -2;  // `threads` run before main
inline constexpr std::int32_t missing_copy = -3;      // the requested copy's library was not loaded

struct command {
  enum class op : std::uint32_t { start = 1, signal = 2, serve_pool = 3, farewell = 4 };
  op what = op::start;
  seat_id id;
  std::int32_t signal = 0;
  std::uint64_t argument = 0;
  os::signal_actions signals;  // start: the parent's actions
};

struct report {
  enum class kind : std::uint32_t {
    started = 1,  // comes with a pidfd, if possible
    exited = 2,
    start_failed = 3,
    serving = 4,  // the master's answer
    spare = 5,    // a new spare, whose pid matters only if the server dies
  };
  kind what = kind::started;
  seat_id id;
  pid_t pid = 0;
  std::int32_t code = 0;
  std::int32_t status = 0;
  std::int32_t error = 0;
};

template <class Message>
int send_struct(int socket, const Message& message, std::span<const int> fds,
                os::blocking mode) noexcept {
  static_assert(std::is_trivially_copyable_v<Message>);
  return os::send_message(socket, std::as_bytes(std::span(&message, 1)), fds, mode);
}

// size: as in os::received_message, but -EPROTO for a message of another length.
template <class Message>
os::received_message receive_struct(int socket, Message& message, os::blocking mode) noexcept {
  static_assert(std::is_trivially_copyable_v<Message>);
  auto received = os::receive_message(socket, std::as_writable_bytes(std::span(&message, 1)), mode);
  if (received.size > 0 && received.size != sizeof(Message)) received.size = -EPROTO;
  return received;
}

}  // namespace procpool::launch
