#include "os/child_setup.hpp"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

// Present only in programs that are built to measure coverage.
extern "C" [[gnu::weak]] void __gcov_dump();
extern "C" [[gnu::weak]] int __llvm_profile_write_file();

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

namespace procpool::os {
namespace {

bool is_fault(int signal) noexcept {
  return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE ||
         signal == SIGABRT || signal == SIGTRAP || signal == SIGSYS;
}

}  // namespace

void reset_signal_actions(fault_handlers faults) noexcept {
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    if (faults == fault_handlers::keep && is_fault(signal)) continue;
    struct sigaction action{};
    // Fails for the two or three signals that the C library keeps for itself; they are its
    // business.
    if (::sigaction(signal, nullptr, &action) != 0) continue;
    auto wanted = signal == SIGINT || signal == SIGQUIT ? SIG_IGN : SIG_DFL;
    if (action.sa_handler == wanted) continue;
    action = {};
    action.sa_handler = wanted;
    ::sigaction(signal, &action, nullptr);
  }
}

void use_default_signal_stack() noexcept {
  // The alternate stack of the thread that forked is not used in the child.
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  ::sigaltstack(&none, nullptr);
}

void ignore_interrupts() noexcept {
  struct sigaction action{};
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGQUIT, &action, nullptr);
}

void block_all_signals() noexcept {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
}

void unblock_all_signals() noexcept {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

bool set_standard_streams() noexcept {
  // Workers that read the terminal would take lines away from the parent and from each other.
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return false;
  bool ok = null == STDIN_FILENO || ::dup2(null, STDIN_FILENO) == STDIN_FILENO;
  // What a task prints must not go into a descriptor that happens to get the number 1 or 2.
  for (int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF) ok = ::dup2(null, fd) == fd && ok;
  }
  if (null > STDERR_FILENO) {
    ::close(null);
  } else {
    set_close_on_exec(null, false);
  }
  return ok;
}

void use_as_stderr(int fd) noexcept {
  ::dup2(fd, STDERR_FILENO);
  ::close(fd);
}

void use_as_stdin(int fd) noexcept {
  ::dup2(fd, STDIN_FILENO);
  ::close(fd);
}

bool set_close_on_exec(int fd, bool on) noexcept {
  return ::fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) == 0;
}

void close_on_exec_all_but(int keep) noexcept {
  if (::syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
    // Linux 5.10, and tools that do not know the call.
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const int end = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 65536));
    for (int fd = STDERR_FILENO + 1; fd < end; ++fd) set_close_on_exec(fd, true);
  }
  set_close_on_exec(keep, false);
}

bool die_with_parent(pid_t parent) noexcept {
  // The parent is the fork server, which has one thread: the signal comes when *the thread* that
  // forked us ends, and in a process with several threads that would be too early.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // It may have died before the call above.
  return ::getppid() == parent;
}

void adopt_orphans() noexcept {
  // Processes that tasks leave behind would otherwise stay as zombies where process 1 does not
  // reap.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void use_exact_timers() noexcept {
  // The default slack of 50 us is longer than many tasks.
  ::prctl(PR_SET_TIMERSLACK, 1000UL);
}

void set_process_name(const char* name) noexcept {
  // A program that is executed through /proc/self/exe is called "exe" otherwise.
  ::prctl(PR_SET_NAME, name);
}

const char* program_name() noexcept { return ::program_invocation_short_name; }

pid_t this_process() noexcept { return ::getpid(); }
pid_t parent_process() noexcept { return ::getppid(); }

void leave_process(int status) noexcept {
  if (&__gcov_dump != nullptr) __gcov_dump();
  if (&__llvm_profile_write_file != nullptr) __llvm_profile_write_file();
  ::_exit(status);
}

void kill_this_process() noexcept {
  ::kill(::getpid(), SIGKILL);
  leave_process(128 + SIGKILL);  // a filter of system calls may refuse the signal
}

}  // namespace procpool::os
