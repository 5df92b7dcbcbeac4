// What workers do about signals that the program gets as well: signals to the whole process group,
// by the terminal (hang-up, Ctrl-Z), or to the whole control group (systemd, docker stop). The
// program decides: a signal that it ignores or handles does not affect its workers, and where it
// has the default action, so have its workers. Wraps sigaction, pthread_sigmask and raise.
//
// A worker has a handler for each signal whose default action ends or stops a process, except for
// faults. The handler reads in /proc/<program>/status what the program would do now, and returns or
// takes the default action. (Handlers are reset in programs that a task executes, so these have the
// default actions.) A signal that the program ignores when the worker starts is ignored in the
// worker, too, and executed programs inherit that, as under nohup; except for SIGTERM, by which the
// program ends workers.
//
// The default action is taken, whatever the program does,
//   * for a signal that a task sends to its own process, and for its timers (alarm, timer_create);
//     but SIGPIPE and SIGXFSZ, which a failing write() sends, follow the program
//   * in a process that a task forks
//   * for a signal that the program has announced in the worker's word, see accept_signals()
//
// All functions but current_signal_actions() are async-signal-safe: no allocation, no locks.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace procpool::os {

using signal_set = std::uint64_t;  // bit n - 1: signal n

constexpr signal_set signal_bit(int signal) noexcept {
  return signal >= 1 && signal <= 64 ? signal_set{1} << (signal - 1) : 0;
}

struct signal_actions {
  signal_set ignored = 0;
  signal_set handled = 0;
};

// This process's. Any thread.
signal_actions current_signal_actions() noexcept;

// In a fork server, with all signals blocked, after reset_signal_actions(): installs the handlers,
// which the workers inherit. `interrupts`: SIGINT and SIGQUIT are among these signals; otherwise
// they stay as they are.
void follow_program(pid_t program, bool interrupts) noexcept;

// In a new worker, while all signals are blocked: what the program did when the worker was asked
// for. A signal that the program handled then, it is taken to handle from then on: a handler may be
// for one time (SA_RESETHAND), and gone when the worker asks.
void adopt_signal_actions(const signal_actions& at_start) noexcept;

// In a new worker, as soon as it has its shared memory: unblocks all signals; what has come since
// the fork is delivered. `word` is a signal_set there, in which the program sets a signal's bit
// before it sends that signal to end this worker. It is read atomically, and valid for the rest of
// the process's life. nullptr: the program sends none.
void accept_signals(signal_set* word) noexcept;

// In the program: sets the bit. The word is that of accept_signals().
void announce_signal(signal_set& word, int signal) noexcept;

}  // namespace procpool::os
