// What a fresh process does to itself before it runs anything: signals, standard input,
// descriptors, the tie to its parent. All of it is async-signal-safe: no allocation, no locks, no
// exceptions.
#pragma once

#include <sys/types.h>

#include "base/component_export.hpp"

namespace procpool::os {

enum class fault_handlers { reset, keep };

// Every signal that has a handler or is ignored gets its default action back; SIGINT and SIGQUIT
// are ignored, since the terminal sends them to the whole group and they are meant for the parent
// alone. fault_handlers::keep leaves SIGSEGV and its like alone: the handlers of a sanitizer or a
// crash reporter that belongs to this very program.
void reset_signal_actions(fault_handlers faults) noexcept;
void use_default_signal_stack() noexcept;
// SIGINT and SIGQUIT do nothing.
void ignore_interrupts() noexcept;

void block_all_signals() noexcept;
void unblock_all_signals() noexcept;

// /dev/null as standard input, and as whichever of 1 and 2 is closed.
bool set_standard_streams() noexcept;

// Marks every descriptor from 3 up as close-on-exec, but `keep`.
void close_on_exec_all_but(int keep) noexcept;
// `fd` becomes standard error, and has no other number.
void use_as_stderr(int fd) noexcept;
bool set_close_on_exec(int fd, bool on) noexcept;

// This process is killed as soon as its parent is dead. False when the parent is dead already.
bool die_with_parent(pid_t parent) noexcept;
// Orphans among the descendants become children of this process, which can then reap them.
void adopt_orphans() noexcept;
// Timed waits end within a microsecond instead of 50.
void use_exact_timers() noexcept;
// As ps and top show it; 15 characters at most.
void set_process_name(const char* name) noexcept;
// The name this process was started under, without folders.
const char* program_name() noexcept;

PROCPOOL_COMPONENT_EXPORT pid_t this_process() noexcept;
pid_t parent_process() noexcept;

// Ends the process at once: no destructors, no exit handlers, no stdio buffers. Those belong to the
// program that this process is a copy of. Coverage data is written where a program collects any.
[[noreturn]] void leave_process(int status) noexcept;
// The same by SIGKILL, as if another process had sent it.
[[noreturn]] void kill_this_process() noexcept;

}  // namespace procpool::os
