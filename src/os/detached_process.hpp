// Starts a process that is nobody's child: it belongs to process 1 (or the nearest subreaper) from
// its first moment. A wait loop of the user can neither see it, nor steal its status, nor hang on
// it. noexcept, no allocation.
#pragma once

#include <sys/types.h>

#include <cstddef>

namespace procpool::os {

struct detached_process {
  pid_t pid = 0;  // 0 also where a tool hides what the middle process wrote (valgrind)
  int error = 0;  // an errno value; nothing was started then
};

// Where the new process writes its own pid, as decimal digits padded with zeros.
inline constexpr std::size_t pid_digits = 10;

struct exec_request {
  const char* path = nullptr;
  char* const* argv = nullptr;
  char* const* envp = nullptr;
  char* pid_text = nullptr;       // pid_digits characters within envp
  int inherited_fd = -1;          // the only descriptor above 2 that the new program gets,
  int further_fds[2] = {-1, -1};  // with these, where they are not -1
  const char* folder = nullptr;   // where it starts, if that directory can be entered; null: here
};

// The new program starts with /dev/null as standard input, default signal actions (SIGINT and
// SIGQUIT ignored) and all signals blocked. Copies no page tables. Any thread, also while others
// run.
detached_process spawn_detached(const exec_request& request) noexcept;

// `child(argument)` runs in a copy of this process and must not return. One copy of the page tables
// is made, not two. Only in a process with one thread.
detached_process fork_detached(void (*child)(void*), void* argument) noexcept;

}  // namespace procpool::os
