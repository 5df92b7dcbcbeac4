// What a new process does to itself before it runs anything: wraps sigaction, sigprocmask, prctl
// (PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_TIMERSLACK, PR_SET_NAME), dup2, fcntl and
// close_range, and _exit. Async-signal-safe: no allocation, no locks, no exceptions.
#pragma once

#include <sys/types.h>

#include "base/component_export.hpp"

namespace procpool::os {

enum class fault_handlers { reset, keep };

// Sets every signal to its default action, but ignores SIGINT and SIGQUIT: the terminal sends them
// to the whole process group, and only the parent is meant. fault_handlers::keep leaves SIGSEGV and
// the other faults as they are: a sanitizer or a crash reporter of this program may handle them.
void reset_signal_actions(fault_handlers faults) noexcept;
void use_default_signal_stack() noexcept;
// Ignores SIGINT and SIGQUIT.
void ignore_interrupts() noexcept;

void block_all_signals() noexcept;
void unblock_all_signals() noexcept;

// Opens /dev/null as standard input, and as standard output and standard error if they are closed.
bool set_standard_streams() noexcept;

// Marks every descriptor from 3 up as close-on-exec, but `keep`.
void close_on_exec_all_but(int keep) noexcept;
// Moves `fd` to descriptor 2, standard error.
void use_as_stderr(int fd) noexcept;
void use_as_stdin(int fd) noexcept;  // the same for descriptor 0
bool set_close_on_exec(int fd, bool on) noexcept;

// Has the kernel kill this process when its parent dies. Returns false if `parent` is dead already.
bool die_with_parent(pid_t parent) noexcept;
// Makes this process a subreaper: orphans among its descendants become its children.
void adopt_orphans() noexcept;
// Sets the timer slack to 1 us (the default is 50): timed waits end sooner after their time.
void use_exact_timers() noexcept;
// The name that ps and top show; 15 characters at most.
void set_process_name(const char* name) noexcept;
// The name this process was started under, without folders.
const char* program_name() noexcept;

PROCPOOL_COMPONENT_EXPORT pid_t this_process() noexcept;
pid_t parent_process() noexcept;

// Ends the process at once, without destructors, exit handlers or flushing of stdio buffers: these
// belong to the program that this process is a copy of. Coverage data is written if the program
// collects it.
[[noreturn]] void leave_process(int status) noexcept;
// Ends the process by SIGKILL, as if another process had sent it.
[[noreturn]] void kill_this_process() noexcept;

}  // namespace procpool::os
