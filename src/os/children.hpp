// Children of this process: wraps waitid, kill, fork, and SIGCHLD with ppoll. noexcept, no
// allocation.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <span>

#include "os/poll.hpp"

namespace procpool::os {

struct child_end {
  pid_t pid = 0;
  int code = 0;    // CLD_EXITED, CLD_KILLED or CLD_DUMPED
  int status = 0;  // exit code or signal
};

// Reaps one dead child, if there is one. Does not wait.
std::optional<child_end> reap_any() noexcept;
// Waits until the child is dead, and reaps it. Empty if `pid` is no child of this process (any
// more).
std::optional<child_end> reap(pid_t pid) noexcept;
// As reap(), but does not wait.
std::optional<child_end> reap_if_dead(pid_t pid) noexcept;
// Waits until the child (0: any child) is dead, and reaps it; only after watch_children(). Returns
// false if there is no such child, or at `end`, so that a child that cannot be killed (frozen, or
// in the kernel) does not block the caller for ever.
bool reap_until(pid_t pid, std::chrono::steady_clock::time_point end) noexcept;
// Whether orphans among the descendants become children of this process: it is process 1 of a
// container, or a subreaper.
bool adopts_orphans() noexcept;
// Reaps the children of this process that are dead and have this name.
void reap_zombies_named(const char* name) noexcept;

// Sends SIGKILL, or `signal`. Only for a child that has not been reaped: until then its pid cannot
// be reused.
void kill_child(pid_t pid) noexcept;
void signal_child(pid_t pid, int signal) noexcept;

// From this call on, poll_or_child_end() returns when a child has died, also if the child died
// before poll_or_child_end() was called. (Uses a handler and no signalfd, which valgrind and
// similar tools do not serve.)
void watch_children() noexcept;
// Negative max: no limit.
void poll_or_child_end(std::span<poll_item> items,
                       std::chrono::milliseconds max = std::chrono::milliseconds(-1)) noexcept;
// In a forked child: restores the default action of SIGCHLD.
void stop_watching_children() noexcept;

// Sends SIGKILL to every live child of this process, as the kernel lists them in /proc; returns
// false if the kernel has no such list.
bool kill_all_children() noexcept;

struct forked {
  pid_t pid = 0;  // 0 in the child
  int error = 0;
};
// fork() with the atfork handlers, so that the C library is usable in the child.
forked fork_child() noexcept;

}  // namespace procpool::os
