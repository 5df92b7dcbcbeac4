// Stream sockets between processes of one user on this machine: wraps socket, listen, accept4,
// connect, send and recv for AF_UNIX with names in the abstract namespace (nothing is in the file
// system, and a name is gone with its last listener), and SO_PEERCRED. Any thread. A function that
// returns a descriptor returns an empty one with errno set on failure, unless it throws.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/component_export.hpp"
#include "os/unique_fd.hpp"

namespace procpool::os {

using user_id = std::uint32_t;

// From the kernel's random generator (getrandom). Throws std::system_error.
PROCPOOL_COMPONENT_EXPORT void fill_random(std::span<std::byte> bytes);

// The name has at most 100 characters. The listener does not block. Throws std::system_error.
unique_fd listen_local(const std::string& name);
unique_fd connect_local(const std::string& name) noexcept;
// Returns a blocking connection. On failure accept_failure_of(errno) says what to do.
unique_fd accept_local(int listener) noexcept;

enum class accept_failure {
  nobody,   // no client is waiting (any more)
  lacking,  // no descriptors or memory: the client still waits, and the listener stays readable
  broken,   // no connection will ever come from this listener
};
PROCPOOL_COMPONENT_EXPORT accept_failure accept_failure_of(int error) noexcept;

// The effective user of this process.
user_id this_user() noexcept;
// The user of the other end, at the time when it connected or began to listen. Empty if unknown.
std::optional<user_id> peer_user(int socket) noexcept;
// The process of the other end; 0 if unknown.
int peer_pid(int socket) noexcept;

// Transfer all bytes; false if the other end is gone. They raise no SIGPIPE, and signals do not
// interrupt them.
bool send_all(int socket, std::span<const std::byte> bytes) noexcept;
bool receive_all(int socket, std::span<std::byte> bytes) noexcept;
// As receive_all, but returns false after `limit`, too.
bool receive_all_within(int socket, std::span<std::byte> bytes,
                        std::chrono::milliseconds limit) noexcept;
// Whether there are bytes to receive, or the other end is gone.
bool is_readable(int socket) noexcept;
// Sends `first`, then `second`, in one system call if the kernel accepts all bytes at once.
bool send_all(int socket, std::span<const std::byte> first,
              std::span<const std::byte> second) noexcept;
// Receives at least `least` bytes, and more if they are there and fit. Returns how many; 0 if the
// other end is gone.
std::size_t receive_at_least(int socket, std::size_t least, std::span<std::byte> bytes) noexcept;

}  // namespace procpool::os
