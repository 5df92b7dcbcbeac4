// Starts a process that is not a child of this one: it belongs to process 1 (or the nearest
// subreaper) from its first moment, so that a wait loop of the user's program can neither see it,
// nor take its status, nor block on it. Wraps clone, vfork, fork and execve by way of a short-lived
// middle process, which is reaped here. noexcept, no allocation.
#pragma once

#include <sys/types.h>

#include <cstddef>

namespace procpool::os {

struct detached_process {
  pid_t pid = 0;  // 0 also under tools that hide what the middle process wrote (valgrind)
  int error = 0;  // an errno value if no process was started
};

// Where the new process writes its own pid, as decimal digits padded with zeros.
inline constexpr std::size_t pid_digits = 10;

struct exec_request {
  const char* path = nullptr;
  char* const* argv = nullptr;
  char* const* envp = nullptr;
  char* pid_text = nullptr;       // pid_digits characters within envp
  int inherited_fd = -1;          // the descriptors above 2 that the new program inherits are this
  int further_fds[2] = {-1, -1};  // one and these; -1: none
  const char* folder = nullptr;   // its working directory; null, or not accessible: this process's
};

// The new program starts with /dev/null as standard input, default signal actions (SIGINT and
// SIGQUIT ignored) and all signals blocked. Copies no page tables. Any thread of a program with any
// number of threads.
detached_process spawn_detached(const exec_request& request) noexcept;

// Runs `child(argument)`, which must not return, in a copy of this process. The page tables are
// copied once, although there are two new processes. Only in a process with one thread.
detached_process fork_detached(void (*child)(void*), void* argument) noexcept;

}  // namespace procpool::os
