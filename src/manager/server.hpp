// The manager's side of procpool::manager: its objects, and a thread for each connection.
#pragma once

#include <cstdint>
#include <string>

namespace procpool::manager_protocol {

// Runs in the process of a manager until the connection to its parent ends. The parent runs as
// `user` and listens under `name`; the secret comes in two halves. A task function. Throws
// std::system_error when this process lacks a descriptor, a thread or memory for it.
void serve_manager(const std::string& name, std::uint64_t secret0, std::uint64_t secret1,
                   std::uint32_t user);

}  // namespace procpool::manager_protocol
