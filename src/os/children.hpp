// Children of this process: their end, and the signal that announces it. noexcept, no allocation.
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

// Reaps one dead child, if there is one, without waiting.
std::optional<child_end> reap_any() noexcept;
// Waits until that child is dead, and reaps it. Empty when it is no child of ours (any more).
std::optional<child_end> reap(pid_t pid) noexcept;
// The same without waiting.
std::optional<child_end> reap_if_dead(pid_t pid) noexcept;
// After watch_children(): waits until that child (0: any child) is dead, and reaps it. False when
// there is no such child, and at the end of the time: a process that may not be killed, or that is
// frozen, keeps nobody.
bool reap_until(pid_t pid, std::chrono::steady_clock::time_point end) noexcept;
// Whether orphans among the descendants become children of this process: process 1 of a container,
// or a subreaper.
bool adopts_orphans() noexcept;
// Reaps the children of this process that are dead and have this name.
void reap_zombies_named(const char* name) noexcept;

// Only for a child that has not been reaped: its pid is still its own. kill_child: SIGKILL.
void kill_child(pid_t pid) noexcept;
void signal_child(pid_t pid, int signal) noexcept;

// From here on, poll_or_child_end() ends when a child has died, also if that happened before the
// call. (Not by a signalfd: tools that stand between this process and its signals do not feed it.)
void watch_children() noexcept;
// Negative max: no limit.
void poll_or_child_end(std::span<poll_item> items,
                       std::chrono::milliseconds max = std::chrono::milliseconds(-1)) noexcept;
// In a forked child: SIGCHLD means nothing again.
void stop_watching_children() noexcept;

// SIGKILL to every live child of this process, by the kernel's own list; false if it has none
// to give.
bool kill_all_children() noexcept;

struct forked {
  pid_t pid = 0;  // 0 in the child
  int error = 0;
};
// fork() with its handlers, so that the C library is whole in the child.
forked fork_child() noexcept;

}  // namespace procpool::os
