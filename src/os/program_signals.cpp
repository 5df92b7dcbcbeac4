#include "os/program_signals.hpp"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>

#include "os/child_setup.hpp"
#include "os/line_reader.hpp"

namespace procpool::os {
namespace {

// Real-time signals have the same default action: they end the process.
constexpr int followed[] = {SIGHUP,  SIGTERM, SIGUSR1, SIGUSR2,   SIGALRM, SIGVTALRM,
                            SIGPROF, SIGIO,   SIGPWR,  SIGSTKFLT, SIGXCPU, SIGXFSZ,
                            SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU};

// Written before any handler can run: in the fork server, and in a new worker whose signals are
// blocked.
char status_path[32];
bool program_is_first = false;  // process 1 of its PID namespace
signal_set with_handler = 0;
signal_actions program_at_start;
pid_t worker = 0;  // 0: none yet
signal_set* announced = nullptr;

signal_set parse_hex(const char* at) noexcept {
  signal_set value = 0;
  for (; *at != '\0'; ++at) {
    if (*at >= '0' && *at <= '9') {
      value = value << 4U | static_cast<signal_set>(*at - '0');
    } else if (*at >= 'a' && *at <= 'f') {
      value = value << 4U | static_cast<signal_set>(*at - 'a' + 10);
    }
  }
  return value;
}

// Signals that do not have their default action in the program now. One that its first thread
// blocks counts: the program waits for it by sigwait() or a signalfd, or blocks it for a moment
// only, and dies of it afterwards, and its workers with it. Empty without /proc, or where it hides
// processes.
signal_set program_now() noexcept {
  signal_set found = 0;
  line_reader<512, 64> status(status_path);
  while (const char* line = status.next()) {
    if (std::strncmp(line, "Sig", 3) != 0) continue;
    for (const char* name : {"SigBlk:", "SigIgn:", "SigCgt:"}) {
      if (const std::size_t size = std::strlen(name); std::strncmp(line, name, size) == 0) {
        found |= parse_hex(line + size);
      }
    }
  }
  return found;
}

// A process forked by a task has the handler, too, until it executes a program.
bool is_worker() noexcept { return ::getpid() == worker; }

bool is_own(int signal, const siginfo_t& info) noexcept {
  // A write() that fails sends them, as if the process had sent them to itself.
  if (signal == SIGPIPE || signal == SIGXFSZ) return false;
  switch (info.si_code) {
    case SI_TIMER:
    case SI_MESGQ:
    case SI_ASYNCIO:
      return true;
    case SI_KERNEL:  // alarm() and setitimer()
      return signal == SIGALRM || signal == SIGVTALRM || signal == SIGPROF;
    case SI_USER:
    case SI_TKILL:
    case SI_QUEUE:
      return info.si_pid == worker;
    default:
      return false;
  }
}

bool is_announced(int signal) noexcept {
  if (announced == nullptr) return false;
  // acquire: pairs with announce_signal(); the signal itself comes after it
  return (std::atomic_ref(*announced).load(std::memory_order_acquire) & signal_bit(signal)) != 0;
}

bool program_goes_on(int signal) noexcept {
  // No signal from its own container ends or stops process 1 by a default action.
  if (program_is_first) return true;
  const signal_set at_start = program_at_start.ignored | program_at_start.handled;
  return ((at_start | program_now()) & signal_bit(signal)) != 0;
}

void set_handler(int signal) noexcept;

void act_by_default(int signal) noexcept {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal, &action, nullptr);
  sigset_t one, before;
  ::sigemptyset(&one);
  ::sigaddset(&one, signal);
  ::raise(signal);
  ::pthread_sigmask(SIG_UNBLOCK, &one, &before);
  // The process gets here only if the signal has stopped it and SIGCONT continues it, or if its
  // process group cannot be stopped.
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_DFL) {
    set_handler(signal);
  }
}

void on_signal(int signal, siginfo_t* info, void*) {
  const int saved = errno;
  if (!is_worker() || is_own(signal, *info) || is_announced(signal) || !program_goes_on(signal)) {
    act_by_default(signal);
  } else if (signal == SIGTTOU || signal == SIGTTIN) {
    // A write to the terminal would be restarted and raise the signal again, for ever. When the
    // signal is ignored, the write succeeds.
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(signal, &ignore, nullptr);
  }
  errno = saved;
}

void set_handler(int signal) noexcept {
  struct sigaction action{};
  action.sa_sigaction = on_signal;
  // SA_RESTART: system calls of tasks are restarted, where the kernel can do that.
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  for (int other = 1; other <= SIGRTMAX; ++other) {
    if ((with_handler & signal_bit(other)) != 0) ::sigaddset(&action.sa_mask, other);
  }
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

signal_actions current_signal_actions() noexcept {
  signal_actions found;
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    struct sigaction action{};
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_DFL) continue;
    (action.sa_handler == SIG_IGN ? found.ignored : found.handled) |= signal_bit(signal);
  }
  return found;
}

void follow_program(pid_t program, bool interrupts) noexcept {
  program_is_first = program == 1;
  std::snprintf(status_path, sizeof(status_path), "/proc/%d/status", program);
  for (const int signal : followed) with_handler |= signal_bit(signal);
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) with_handler |= signal_bit(signal);
  if (interrupts) with_handler |= signal_bit(SIGINT) | signal_bit(SIGQUIT);
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    if ((with_handler & signal_bit(signal)) != 0) set_handler(signal);
  }
}

void adopt_signal_actions(const signal_actions& at_start) noexcept {
  worker = ::getpid();
  program_at_start = at_start;
  // The signals by which process objects and pools end processes are not ignored.
  const signal_set ignored = at_start.ignored & with_handler &
                             ~(signal_bit(SIGTERM) | signal_bit(SIGINT) | signal_bit(SIGQUIT));
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    if ((ignored & signal_bit(signal)) == 0) continue;
    struct sigaction action{};
    action.sa_handler = SIG_IGN;
    ::sigaction(signal, &action, nullptr);
  }
}

void accept_signals(signal_set* word) noexcept {
  announced = word;
  unblock_all_signals();
}

void announce_signal(signal_set& word, int signal) noexcept {
  // release: for is_announced()
  std::atomic_ref(word).fetch_or(signal_bit(signal), std::memory_order_release);
}

}  // namespace procpool::os
