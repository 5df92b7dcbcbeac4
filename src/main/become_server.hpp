// The code that runs between the start of a process and the user's main().
#pragma once

namespace procpool::parent {
class pool;
}

namespace procpool::main_hook {

// Returns in the user's program; never returns in a process that was executed as a fork server.
void become_server_if_asked() noexcept;

// Refers to a function of each part of the library, so that a static library is linked whole.
void name_all_parts(parent::pool& pool);

}  // namespace procpool::main_hook
