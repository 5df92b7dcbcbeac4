// Handles of processes: unlike a pid, a pidfd never comes to mean another process. Nothing throws
// or allocates. Kernels and tools without them (valgrind) are served: open_pidfd() is empty then,
// and the callers have another way.
#pragma once

#include <sys/types.h>

#include <chrono>

#include "os/unique_fd.hpp"

namespace procpool::os {

// Only for a process that cannot be reaped meanwhile: oneself, or a child that one has not waited
// for. Close-on-exec, 3 or above; empty with errno set on failure.
unique_fd open_pidfd(pid_t pid) noexcept;

// 0 or an errno value: ESRCH when the process is dead. Everything else says nothing about the
// process, only that this way is closed: EPERM to a program that has dropped its rights, EPERM,
// EACCES or ENOSYS under filters of system calls and tools that know no pidfds.
int pidfd_signal(int pidfd, int signal) noexcept;

// The process is dead (perhaps not yet reaped). Waits for that for `max` at most.
bool pidfd_dead(int pidfd, std::chrono::milliseconds max = std::chrono::milliseconds(0)) noexcept;

// Reaps the process if it is our child; harmless if it is not. For orphans that this process
// adopted, as process 1 of a container or as a subreaper.
void pidfd_reap(int pidfd) noexcept;

}  // namespace procpool::os
