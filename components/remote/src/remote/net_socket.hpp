// Stream sockets to other processes and machines: wraps getaddrinfo, socket, listen, accept4,
// connect, send and recv. "host:port" and "[v6]:port" are TCP; an address with a slash is the path
// of a Unix socket. All functions have a deadline, and no descriptor blocks. Any thread.
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

// Throws std::invalid_argument if the text is no address.
void check_address(const std::string& address);

// The file of a Unix socket is accessible to this user only (mode 600), and replaces a file on
// which no process listens any more. Throws std::system_error and std::invalid_argument.
os::unique_fd listen_on(const std::string& address);
// The bound address: with the port that the kernel has chosen for port 0.
std::string bound_address(int listener, const std::string& asked);
// Identifies the file of a Unix socket; all zero for TCP.
struct socket_file {
  std::uint64_t device = 0, inode = 0;
  friend bool operator==(const socket_file&, const socket_file&) = default;
};
socket_file file_at(const std::string& address) noexcept;
// Removes the file at the address, if it is still this file.
void remove_file_at(const std::string& address, const socket_file& file) noexcept;

// Throws std::system_error (ETIMEDOUT after `until`) and std::invalid_argument. The look-up of a
// host name has the system's own time limit.
os::unique_fd connect_to(const std::string& address, io_deadline until);
// Empty with errno set on failure; EAGAIN: no client is waiting.
os::unique_fd accept_from(int listener) noexcept;
// Sets TCP_NODELAY, so that small messages are sent at once; and keep-alives, so that a vanished
// machine is noticed about `limit` after its last packet. Does nothing for a Unix socket.
void watch_peer(int socket, std::chrono::milliseconds limit) noexcept;
// Shuts down both directions at once; a thread that waits on the socket returns.
void end_stream(int socket) noexcept;

enum class io_end { done, closed, late };
io_end send_until(int socket, std::span<const std::byte> bytes, io_deadline until) noexcept;
io_end receive_until(int socket, std::span<std::byte> bytes, io_deadline until) noexcept;

}  // namespace procpool::remote
