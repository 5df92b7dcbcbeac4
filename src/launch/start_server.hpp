// The three ways in which a fork server comes to be. Each gets the server's end of a control socket
// on which the hello already waits, and comes back when the process is on its way; whether it works
// shows in its `ready`. Any thread of the parent.
#pragma once

#include <sys/types.h>

#include "os/unique_fd.hpp"

namespace procpool::launch {

// start_method::spawn: this program executed again. The pid, or 0 where it cannot be known yet.
// Throws std::system_error, and procpool::error when the program cannot become a server.
pid_t start_by_exec(int server_end);

// start_method::fork: a copy of this process. Throws std::system_error and unsafe_fork_error.
pid_t start_by_fork(int server_end);

// start_method::forkserver: forked from the process's one master, which the first call executes
// (and each one after that has died). Throws as start_by_exec.
pid_t start_by_master(int server_end);

// Ends the master, if there is one; the servers of living pools stay.
void stop_master() noexcept;

// Throws procpool::error where this process is in one pid namespace, and what it starts in another.
void check_pid_namespace();

// A new server's answer on the parent's end of its socket. `pid` as the starter gave it: a server
// that does not answer in time is killed. Throws std::system_error and procpool::error.
struct server_process {
  pid_t pid = 0;
  os::unique_fd pidfd;  // empty where there are none
};
server_process await_ready(int parent_end, pid_t pid);

// A pidfd of this process, for the hello; empty where there are none.
os::unique_fd own_pidfd() noexcept;

}  // namespace procpool::launch
