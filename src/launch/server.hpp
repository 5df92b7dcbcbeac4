// The fork server's side: the code of the process that forks workers. None of it returns,
// allocates, locks or throws once the server forks; each process leaves with _exit only.
#pragma once

namespace procpool::launch {

// In a process that was executed as a server, with the socket that it was given: serves a pool, or
// is the master of start_method::forkserver, depending on the parent's hello.
[[noreturn]] void run_executed_server(int control_socket) noexcept;

// In a process that should serve a copy of procpool that was not loaded: tells the parent, and
// leaves.
[[noreturn]] void refuse_executed_server(int control_socket) noexcept;

// In a process that was forked from the parent (start_method::fork) or from the master.
[[noreturn]] void run_forked_server(int control_socket) noexcept;

}  // namespace procpool::launch
