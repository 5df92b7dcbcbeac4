// What stands between the start of a process and the user's main().
#pragma once

namespace procpool::main_hook {

// Comes back in the user's program; never in one that was executed as a fork server.
void become_server_if_asked() noexcept;

}  // namespace procpool::main_hook
