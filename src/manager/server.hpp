// The manager's side of procpool::manager: its objects, and a thread for each connection.
#pragma once

#include <cstdint>
#include <string>

namespace procpool::worker {

// What the process of a manager runs, until the connection to its parent ends: the parent, which is
// this user, listens under this name, and the secret comes in two halves. A task function. Throws
// std::system_error when this process lacks a descriptor, a thread or memory for it.
void serve_manager(const std::string& name, std::uint64_t secret0, std::uint64_t secret1,
                   std::uint32_t user);

}  // namespace procpool::worker
