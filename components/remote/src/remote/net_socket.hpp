// Stream sockets to other processes and machines, by an address: "host:port" and "[v6]:port" are
// TCP, what has a slash in it is the path of a Unix socket. Everything here has a deadline, and no
// descriptor blocks. Any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "os/unique_fd.hpp"

namespace procpool::remote {

using io_deadline = std::chrono::steady_clock::time_point;
inline constexpr io_deadline no_deadline = io_deadline::max();

// Throws std::invalid_argument if it is no address.
void check_address(const std::string& address);

// The file of a Unix socket is this user's alone (mode 600); one that nobody listens on any more is
// replaced. Throws std::system_error, and std::invalid_argument.
os::unique_fd listen_on(const std::string& address);
// As it is bound: with the port that the system has chosen for port 0.
std::string bound_address(int listener, const std::string& asked);
// Which file a Unix socket has; nothing for TCP.
struct socket_file {
  std::uint64_t device = 0, inode = 0;
  friend bool operator==(const socket_file&, const socket_file&) = default;
};
socket_file file_at(const std::string& address) noexcept;
// The file, if it is still that one.
void remove_file_at(const std::string& address, const socket_file& file) noexcept;

// Names are looked up by the system, which has its own limit of time. Throws std::system_error
// (ETIMEDOUT after `until`), and std::invalid_argument.
os::unique_fd connect_to(const std::string& address, io_deadline until);
// Empty with errno set: EAGAIN when nobody has come.
os::unique_fd accept_from(int listener) noexcept;
// Small messages go at once, and a machine that has vanished is noticed about `limit` after its
// last sign of life. Nothing for a Unix socket.
void watch_peer(int socket, std::chrono::milliseconds limit) noexcept;
// Both directions, now, also for who waits in another thread.
void end_stream(int socket) noexcept;

enum class io_end { done, closed, late };
io_end send_until(int socket, std::span<const std::byte> bytes, io_deadline until) noexcept;
io_end receive_until(int socket, std::span<std::byte> bytes, io_deadline until) noexcept;

}  // namespace procpool::remote
