// The common part of the two files of the client's side: proxy_call.cpp, which makes calls from any
// process, and manager.cpp, the program's side, which starts and ends managers. Any thread.
#pragma once

#include <string>

namespace procpool::manager_protocol {

// Closes the idle connections to the manager with this name.
void forget_connections(const std::string& name);

// Throws manager_lost_error: the manager's process has ended.
[[noreturn]] void throw_lost();
// Throws std::system_error, with advice if descriptors are lacking.
[[noreturn]] void throw_system(int error, const std::string& what);

}  // namespace procpool::manager_protocol
