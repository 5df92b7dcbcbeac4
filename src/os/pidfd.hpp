// Handles of processes, which unlike a pid never come to mean another process: wraps pidfd_open,
// pidfd_send_signal, waitid(P_PIDFD) and poll. Nothing throws or allocates. Where the kernel or a
// tool (valgrind) has no pidfds, open_pidfd() returns an empty one, and the callers use pids.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>

#include "os/unique_fd.hpp"

namespace procpool::os {

// Only for a process that cannot be reaped meanwhile: this process, or a child of it that it has
// not reaped. Close-on-exec, 3 or above; empty with errno set on failure.
unique_fd open_pidfd(pid_t pid) noexcept;

// 0 or an errno value: ESRCH if the process is dead. Other values say nothing about the process,
// only that it cannot be signalled so: EPERM to a program that has dropped its rights, EPERM,
// EACCES or ENOSYS under filters of system calls and tools that know no pidfds.
int pidfd_signal(int pidfd, int signal) noexcept;

// Whether the process is dead (perhaps not yet reaped). Waits for its death for `max` at most.
bool pidfd_dead(int pidfd, std::chrono::milliseconds max = std::chrono::milliseconds(0)) noexcept;

// How a dead process ended, as the status of wait(2); empty where the kernel does not tell (before
// Linux 6.15, unless it is a child of this process that was not reaped). Reaps a child.
std::optional<int> pidfd_wait_status(int pidfd) noexcept;

// Reaps the process if it is a child of this process. For orphans that this process has adopted, as
// process 1 of a container or as a subreaper.
void pidfd_reap(int pidfd) noexcept;

}  // namespace procpool::os
