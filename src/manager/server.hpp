// The manager's side of procpool::manager: its objects, and a thread for each connection.
#pragma once

#include <cstdint>
#include <string>

namespace procpool::worker {

// A task function: see sync::manager_entry.
// Throws std::system_error when this process lacks what it takes to be one.
void serve_manager(const std::string& name, std::uint64_t secret0, std::uint64_t secret1,
                   std::uint32_t user);

}  // namespace procpool::worker
