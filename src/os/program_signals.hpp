// What workers do about signals that the program gets as well: one for the whole process group, by
// its terminal (hang-up, Ctrl-Z), or for the whole control group (systemd, docker stop). The
// program decides: what it ignores or handles does not touch its workers, and where it has the
// default action, its workers have that, too.
//
// A worker has a handler for each signal whose default action ends or stops a process, but for
// faults. The handler asks what the program would do now, as /proc/<program>/status says, and
// returns, or takes the default action. (A handler, so that programs that a task executes have
// default actions.) What the program ignores when the worker starts is ignored, which executed
// programs inherit, as under nohup; not so SIGTERM, which the program ends workers with.
//
// Default actions, whatever the program does:
//   * a signal that a task sends to its own process, and timers of its own (alarm, timer_create);
//     but SIGPIPE and SIGXFSZ, which a failing write() sends, follow the program
//   * in a process that a task forks
//   * a signal that the program has announced in the worker's word, see accept_signals()
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
