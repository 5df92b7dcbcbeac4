// The three ways to start a fork server. Each function gets the server's end of a control socket
// in which the hello already waits, and returns when the process has been started; the server's
// `ready` shows whether it works. Any thread of the parent may call them.
#pragma once

#include <sys/types.h>

#include "os/unique_fd.hpp"
#include "shm/worker_settings.hpp"

namespace procpool::launch {

// start_method::spawn: executes this program again. The pid, or 0 where it cannot be known yet.
// `changes` to the environment; null: none. Throws std::system_error, and procpool::error when the
// program cannot become a server.
pid_t start_by_exec(int server_end, const shm::variables* changes = nullptr);

// start_method::fork: copies this process. Throws std::system_error and unsafe_fork_error.
pid_t start_by_fork(int server_end);

// start_method::forkserver: has the process's one master fork a server. The first call executes the
// master, and so does each call after it has died. Throws as start_by_exec.
pid_t start_by_master(int server_end);

// Ends the master, if there is one; servers of existing pools stay.
void stop_master() noexcept;

// Throws procpool::error if the processes that this process starts are in another pid namespace.
void check_pid_namespace();

// Waits for a new server's answer on the parent's end of its socket. `pid` is the starter's result:
// a server that does not answer in time is killed. Throws std::system_error and procpool::error.
struct server_process {
  pid_t pid = 0;
  os::unique_fd pidfd;  // empty on systems without pidfds
};
server_process await_ready(int parent_end, pid_t pid);

// A pidfd of this process, for the hello; empty on systems without pidfds.
os::unique_fd own_pidfd() noexcept;

}  // namespace procpool::launch
