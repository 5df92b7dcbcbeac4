#include "os/children.hpp"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "os/child_setup.hpp"
#include "os/clock.hpp"
#include "os/poll.hpp"
#include "os/unique_fd.hpp"

namespace procpool::os {
namespace {

std::optional<child_end> wait_for(idtype_t type, id_t id, int flags) noexcept {
  siginfo_t info{};
  for (;;) {
    // __WALL: also children whose end is announced by another signal than SIGCHLD, or by none.
    if (::waitid(type, id, &info, WEXITED | __WALL | flags) == 0) break;
    if (errno != EINTR) return std::nullopt;
  }
  if (info.si_pid == 0) return std::nullopt;
  return child_end{info.si_pid, info.si_code, info.si_status};
}

// Only there so that the signal ends a system call.
void on_child_end(int) {}

}  // namespace

std::optional<child_end> reap_any() noexcept { return wait_for(P_ALL, 0, WNOHANG); }

std::optional<child_end> reap(pid_t pid) noexcept {
  return wait_for(P_PID, static_cast<id_t>(pid), 0);
}

std::optional<child_end> reap_if_dead(pid_t pid) noexcept {
  return wait_for(P_PID, static_cast<id_t>(pid), WNOHANG);
}

bool adopts_orphans() noexcept {
  int subreaper = 0;
  return ::getpid() == 1 || (::prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper != 0);
}

void reap_zombies_named(const char* name) noexcept {
  // Children belong to the thread that has them, which for adopted ones is the first.
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/self/task/%d/children", ::getpid());
  std::FILE* const children = std::fopen(path, "re");
  if (children == nullptr) return;
  char zombie[64];
  std::snprintf(zombie, sizeof(zombie), "(%s) Z ", name);
  for (int pid = 0; std::fscanf(children, "%d", &pid) == 1;) {
    std::snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    std::FILE* const stat = std::fopen(path, "re");
    if (stat == nullptr) continue;
    char line[256] = {};
    if (std::fgets(line, sizeof(line), stat) != nullptr && std::strstr(line, zombie) != nullptr) {
      reap(pid);
    }
    std::fclose(stat);
  }
  std::fclose(children);
}

void kill_child(pid_t pid) noexcept { ::kill(pid, SIGKILL); }

void signal_child(pid_t pid, int signal) noexcept { ::kill(pid, signal); }

void watch_children() noexcept {
  block_all_signals();
  struct sigaction action{};
  action.sa_handler = on_child_end;
  ::sigaction(SIGCHLD, &action, nullptr);
}

void stop_watching_children() noexcept {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &action, nullptr);
}

void poll_or_child_end(std::span<poll_item> items, std::chrono::milliseconds max) noexcept {
  sigset_t all_but_child;
  ::sigfillset(&all_but_child);
  ::sigdelset(&all_but_child, SIGCHLD);
  poll_until_signal(items, &all_but_child, max);
}

bool reap_until(pid_t pid, std::chrono::steady_clock::time_point end) noexcept {
  for (;;) {
    siginfo_t info{};
    const int result = ::waitid(pid == 0 ? P_ALL : P_PID, static_cast<id_t>(pid), &info,
                                WEXITED | WNOHANG | __WALL);
    if (result != 0 && errno == EINTR) continue;
    if (result != 0) return false;
    if (info.si_pid != 0) return true;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(time_left(end));
    if (left.count() <= 0) return false;
    poll_or_child_end({}, left);
  }
}

bool kill_all_children() noexcept {
  // Of the main thread, which is the only one here; "thread-self" would do as well.
  const unique_fd list(::open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC));
  if (!list) return false;
  bool any = false;
  pid_t pid = 0;
  char text[512];
  for (;;) {
    const ssize_t size = ::read(list.get(), text, sizeof(text));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    for (ssize_t i = 0; i < size; ++i) {  // "123 456 "
      if (text[i] >= '0' && text[i] <= '9') {
        pid = pid * 10 + (text[i] - '0');
      } else if (pid != 0) {
        any = ::kill(pid, SIGKILL) == 0 || any;
        pid = 0;
      }
    }
  }
  return any;
}

forked fork_child() noexcept {
  const pid_t pid = ::fork();
  return pid < 0 ? forked{-1, errno} : forked{pid, 0};
}

}  // namespace procpool::os
