// Stream sockets between processes of one user on this machine, by a name in the abstract
// namespace: nothing lies in the file system, and the name is gone with the last who listens.
// Any thread. What returns a descriptor is empty with errno set on failure, unless it throws.
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

// From the kernel's generator. Throws std::system_error.
PROCPOOL_COMPONENT_EXPORT void fill_random(std::span<std::byte> bytes);

// The name has at most 100 characters. The listener does not block. Throws std::system_error.
unique_fd listen_local(const std::string& name);
unique_fd connect_local(const std::string& name) noexcept;
// A connection that blocks. What errno says is for accept_failure_of().
unique_fd accept_local(int listener) noexcept;

enum class accept_failure {
  nobody,   // has come, or the client is gone already
  lacking,  // descriptors or memory: the client still waits, and listeners stay readable
  broken,   // no connection will ever come from this listener
};
PROCPOOL_COMPONENT_EXPORT accept_failure accept_failure_of(int error) noexcept;

// The effective user of this process.
user_id this_user() noexcept;
// The one that the other end had when it connected, or when it began to listen. Empty when not
// known.
std::optional<user_id> peer_user(int socket) noexcept;
// 0 when not known.
int peer_pid(int socket) noexcept;

// All of it: false when the other end is gone. Never raise SIGPIPE; signals do not end them.
bool send_all(int socket, std::span<const std::byte> bytes) noexcept;
bool receive_all(int socket, std::span<std::byte> bytes) noexcept;
// The same, and false after `limit`.
bool receive_all_within(int socket, std::span<std::byte> bytes,
                        std::chrono::milliseconds limit) noexcept;
// Whether the other end is gone, or has said something.
bool is_readable(int socket) noexcept;
// One behind the other, in one call of the system if it takes all of them.
bool send_all(int socket, std::span<const std::byte> first,
              std::span<const std::byte> second) noexcept;
// At least so many, and of what is there already as many more as there is room for. How many; 0
// when the other end is gone.
std::size_t receive_at_least(int socket, std::size_t least, std::span<std::byte> bytes) noexcept;

}  // namespace procpool::os
