// Keys and the hang-up of a terminal: signals_terminal <start method> <scene> <folder>. Runs itself
// in a terminal, as the job of a shell that is this program as well: in the foreground, with a
// process group of its own. Prints what became of it.
//
//   stop_default    Ctrl-Z stops program and workers; once it gets SIGCONT, all of it ends well
//   stop_handled    the program handles SIGTSTP: Ctrl-Z stops nothing
//   stop_ignored    it ignores SIGTSTP
//   keys_handled    it handles SIGINT and SIGQUIT: Ctrl-C and Ctrl-\ end nothing
//   hangup_default  the terminal closes: nothing is left
//   hangup_handled  the program handles SIGHUP, hangup_ignored ignores it: the tasks end well
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "conformance/meeting_point.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

std::atomic<int> signals_seen{0};  // its handler may interrupt itself

void count_signal(int) { ++signals_seen; }

start_method method_named(const std::string& name) {
  return name == "fork"         ? start_method::fork
         : name == "forkserver" ? start_method::forkserver
                                : start_method::spawn;
}

void be_somewhere(const std::string& begun, const std::string& gate, const std::string& ended) {
  between_gates(begun, gate, ended);
}

// The job: one task and one process at work. Exit code 5: both ended well.
int job(const std::string& method, const std::string& scene, const std::string& folder) {
  const std::vector<int> signals = scene.starts_with("stop")   ? std::vector{SIGTSTP}
                                   : scene.starts_with("keys") ? std::vector{SIGINT, SIGQUIT}
                                                               : std::vector{SIGHUP};
  for (const int signal : signals) {
    if (scene.ends_with("handled")) std::signal(signal, count_signal);
    if (scene.ends_with("ignored")) std::signal(signal, SIG_IGN);
  }
  const auto m = method_named(method);
  process single({.start = m}, be_somewhere, folder + "begun", folder + "gate", folder + "ended");
  process_pool_executor pool(pool_options{.max_workers = 1, .start = m});
  auto task = pool.submit(between_gates, folder + "begun", folder + "gate", folder + "ended");
  eventually([&] { return count_lines(folder + "begun") == 2; });
  touch(folder + "ready");
  if (scene.ends_with("handled")) {
    const auto wanted = static_cast<int>(signals.size());
    if (!eventually([&] { return signals_seen >= wanted; })) return 1;
    touch(folder + "seen");
  }
  const bool well = task.get() == 1;
  single.join();
  return well && single.exit_code() == 0 ? 5 : 1;
}

std::string described(int status) {
  if (WIFSTOPPED(status)) return "stopped";
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return "exit " + std::to_string(WEXITSTATUS(status));
}

volatile pid_t job_of_shell = 0;
std::string passed_on;  // a file that says so

// As shells do: the system tells only the leader of the session that the terminal is closed.
void pass_on(int signal) {
  kill(-job_of_shell, signal);
  close(creat(passed_on.c_str(), 0600));
}

// The shell: leader of the terminal's session. Notes what becomes of its job.
int shell(const std::string& method, const std::string& scene, const std::string& folder) {
  std::signal(SIGTTOU, SIG_IGN);  // to say which group is in the foreground
  const pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    tcsetpgrp(STDIN_FILENO, getpid());
    std::signal(SIGTTOU, SIG_DFL);
    execl("/proc/self/exe", "signals_terminal", method.c_str(), ("in_" + scene).c_str(),
          folder.c_str(), nullptr);
    _exit(127);
  }
  job_of_shell = pid;
  passed_on = folder + "passed_on";
  std::signal(SIGHUP, pass_on);
  touch(folder + "shell");
  for (;;) {
    int status = 0;
    if (waitpid(pid, &status, WUNTRACED) != pid) {
      if (errno == EINTR) continue;
      return 1;
    }
    append_line(folder + "became", described(status));
    if (!WIFSTOPPED(status)) return 0;
    wait_for(folder + "continue");
    kill(-pid, SIGCONT);
  }
}

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// As /proc has it; 0 if there is no such process.
char state_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string text;
  std::getline(file, text);  // fails, and does not throw, when the process is gone meanwhile
  const auto at = text.rfind(')');
  return at == std::string::npos || at + 2 >= text.size() ? '\0' : text[at + 2];
}

bool all_are(const std::vector<std::string>& pids, bool stopped) {
  return std::all_of(pids.begin(), pids.end(),
                     [&](const std::string& p) { return (state_of(p) == 'T') == stopped; });
}

void type(int terminal, const char* keys, std::size_t count) {
  if (write(terminal, keys, count) != static_cast<ssize_t>(count)) std::printf("cannot type\n");
}

}  // namespace

int main(int, char** argv) {
  const std::string method = argv[1], scene = argv[2], folder = argv[3];
  if (scene.starts_with("in_")) return job(method, scene.substr(3), folder);
  int terminal = -1;
  const pid_t pid = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (pid == 0) _exit(shell(method, scene, folder));
  wait_for(folder + "shell");
  wait_for(folder + "ready");
  const std::vector<std::string> workers = lines_of(folder + "begun");
  if (scene.starts_with("stop")) type(terminal, "\032", 1);
  if (scene.starts_with("keys")) type(terminal, "\003\034", 2);
  if (scene.starts_with("hangup")) {
    close(terminal);
    wait_for(folder + "passed_on");
  }
  if (scene == "hangup_default") eventually([&] { return exists(folder + "became"); });
  if (scene.ends_with("handled")) wait_for(folder + "seen");
  if (scene == "stop_default") {
    const bool stopped = eventually([&] { return all_are(workers, true); });
    eventually([&] { return count_lines(folder + "became") == 1; });
    std::printf("workers stopped: %d\n", static_cast<int>(stopped));
    touch(folder + "continue");
    eventually([&] { return all_are(workers, false); });
  }
  touch(folder + "gate");
  int status = 0;
  waitpid(pid, &status, 0);
  for (const std::string& line : lines_of(folder + "became")) std::printf("%s\n", line.c_str());
  const bool gone = eventually([&] {
    return std::all_of(workers.begin(), workers.end(), [](const std::string& p) {
      const char state = state_of(p);
      return state == '\0' || state == 'Z';
    });
  });
  std::printf("workers gone: %d\n", static_cast<int>(gone));
}
