#include "os/detached_process.hpp"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <new>

#include "os/child_setup.hpp"
#include "os/sanitizers.hpp"

// The middle process runs in this process's memory, on a stack that the sanitizers do not know.
#define PROCPOOL_UNCHECKED __attribute__((no_sanitize("address", "undefined")))

namespace procpool::os {
namespace {

constexpr std::size_t stack_size = std::size_t{64} << 10;

// In memory that stays shared even where a tool turns the two processes into real copies.
struct exec_job {
  const exec_request* request = nullptr;
  char* stack_top = nullptr;  // of the process that executes
  volatile pid_t pid = 0;     // volatile: written by a process that the compiler knows nothing of
  volatile int error = 0;
};

// A process that runs in the memory of this process until it executes or ends; this thread stands
// still until then. Under ThreadSanitizer it is a copy: interceptors must not write to the tables
// of two processes that share them.
PROCPOOL_UNCHECKED pid_t borrow(int (*function)(void*), char* stack_top, int exit_signal,
                                void* argument) noexcept {
  if constexpr (thread_sanitizer) {
    const long pid =
        ::syscall(SYS_clone, CLONE_VFORK | exit_signal, nullptr, nullptr, nullptr, nullptr);
    if (pid == 0) ::_exit(function(argument));
    return static_cast<pid_t>(pid);
  } else {
    return ::clone(function, stack_top, CLONE_VM | CLONE_VFORK | exit_signal, argument);
  }
}

PROCPOOL_UNCHECKED void write_pid(char* text, pid_t pid) noexcept {
  for (std::size_t i = pid_digits; i > 0; --i, pid /= 10) {
    text[i - 1] = static_cast<char>('0' + pid % 10);
  }
}

// Runs in the parent's memory while the parent's thread and the middle process are stopped.
PROCPOOL_UNCHECKED int execute(void* argument) {
  auto& job = *static_cast<exec_job*>(argument);
  const exec_request& request = *job.request;
  // The new program does not inherit what the parent ignores. All signals stay blocked until the
  // program's own server loop runs: one that comes meanwhile is meant for the parent.
  reset_signal_actions(fault_handlers::reset);
  set_standard_streams();
  close_on_exec_all_but(request.inherited_fd);
  for (const int fd : request.further_fds) {
    if (fd >= 0) set_close_on_exec(fd, false);
  }
  if (request.folder != nullptr && ::chdir(request.folder) != 0) errno = 0;
  write_pid(request.pid_text, ::getpid());
  ::execve(request.path, request.argv, request.envp);
  job.error = errno;
  ::_exit(127);
}

PROCPOOL_UNCHECKED int start_executor(void* argument) {
  auto& job = *static_cast<exec_job*>(argument);
  const pid_t pid = borrow(execute, job.stack_top, SIGCHLD, argument);
  if (pid < 0) {
    job.error = errno;
  } else {
    job.pid = pid;
  }
  ::_exit(0);  // the executed program has no parent but process 1
}

// The middle process has ended: clone with CLONE_VFORK returns only then. ECHILD is fine.
void reap_middle(pid_t pid) noexcept {
  while (::waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

class all_signals_blocked {
 public:
  all_signals_blocked() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &old_);
  }
  ~all_signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &old_, nullptr); }
  all_signals_blocked(const all_signals_blocked&) = delete;
  all_signals_blocked& operator=(const all_signals_blocked&) = delete;

 private:
  sigset_t old_;
};

}  // namespace

detached_process spawn_detached(const exec_request& request) noexcept {
  constexpr std::size_t size = 2 * stack_size + sizeof(exec_job);
  void* memory =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return {0, errno};
  char* const stacks = static_cast<char*>(memory);
  auto& job = *new (stacks + 2 * stack_size) exec_job;
  job.request = &request;
  job.stack_top = stacks + stack_size;
  detached_process result;
  {
    // A handler of the parent must not run in the processes that share its memory.
    const all_signals_blocked blocked;
    // No exit signal: the middle process raises no SIGCHLD, and only a wait with __WALL sees it.
    const pid_t middle = borrow(start_executor, stacks + 2 * stack_size, 0, &job);
    if (middle < 0) {
      result.error = errno;
    } else {
      reap_middle(middle);
      result = {job.error != 0 ? 0 : job.pid, job.error};
    }
  }
  ::munmap(memory, size);
  return result;
}

detached_process fork_detached(void (*child)(void*), void* argument) noexcept {
  volatile pid_t pid = 0;
  volatile int error = 0;
  // SIGCHLD of the middle process must not reach a handler before it has been reaped here.
  const all_signals_blocked blocked;
  // vfork lends this memory to the middle process, which makes the one copy. It is a process with
  // one thread, so that nothing else runs meanwhile.
  // ThreadSanitizer has its own idea of vfork and gets a copy.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  const pid_t middle = thread_sanitizer
                           ? static_cast<pid_t>(::syscall(SYS_clone, CLONE_VFORK | SIGCHLD, nullptr,
                                                          nullptr, nullptr, nullptr))
                           : ::vfork();
#pragma GCC diagnostic pop
  if (middle == 0) {
    const pid_t copy = ::fork();
    if (copy == 0) {
      child(argument);
      ::_exit(127);
    }
    if (copy < 0) {
      error = errno;
    } else {
      pid = copy;
    }
    ::_exit(0);
  }
  if (middle < 0) return {0, errno};
  reap_middle(middle);
  return {pid, error};
}

}  // namespace procpool::os
