// Ctrl-C in a terminal: conformance_terminal <start method> <scene> <folder>. Runs itself in a
// terminal of its own (scene "in_default" or "in_handler"), types an interrupt as soon as a task
// runs, and prints how that ended and what it printed.
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <sstream>

#include "conformance/meeting_point.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

volatile std::sig_atomic_t interrupted = 0;

// The program in the terminal: waits for a task.
int in_terminal(const std::string& method, const std::string& scene, const std::string& folder) {
  if (scene == "in_handler") std::signal(SIGINT, [](int) { interrupted = 1; });
  pool_options o{.max_workers = 2};
  o.start = method == "fork"         ? start_method::fork
            : method == "forkserver" ? start_method::forkserver
                                     : start_method::spawn;
  process_pool_executor pool(std::move(o));
  auto f = pool.submit(between_gates, folder + "begun", folder + "gate", folder + "ended");
  wait_for(folder + "begun");
  std::puts("ready");
  std::fflush(stdout);
  if (scene == "in_handler") {
    if (!eventually([] { return interrupted != 0; })) return 1;
    std::puts("interrupted");
    touch(folder + "gate");
    std::printf("task result %d\n", f.get());
    return 5;
  }
  f.wait();
  return 1;
}

// Everything until the other side of the terminal is closed, in one line.
std::string read_all(int terminal, const std::string& until, std::string text) {
  for (;;) {
    if (!until.empty() && text.find(until) != std::string::npos) return text;
    pollfd item{terminal, POLLIN, 0};
    if (poll(&item, 1, 20'000) <= 0) return text + " (nothing more)";
    char buffer[512];
    const ssize_t n = read(terminal, buffer, sizeof buffer);
    if (n <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
  }
}

}  // namespace

int main(int, char** argv) {
  const std::string method = argv[1], scene = argv[2], folder = argv[3];
  if (scene.starts_with("in_")) return in_terminal(method, scene, folder);

  std::filesystem::remove(folder + "begun");
  std::filesystem::remove(folder + "gate");
  int terminal = -1;
  const pid_t pid = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (pid == 0) {
    const std::string inner = "in_" + scene;
    execl("/proc/self/exe", argv[0], method.c_str(), inner.c_str(), folder.c_str(), nullptr);
    _exit(127);
  }
  std::string printed = read_all(terminal, "ready", "");
  const char interrupt = '\003';
  if (write(terminal, &interrupt, 1) != 1) return 1;
  printed = read_all(terminal, "", std::move(printed));
  int status = 0;
  waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) {
    std::printf("ended by signal %d\n", WTERMSIG(status));
  } else {
    std::printf("ended by exit %d\n", WEXITSTATUS(status));
  }
  std::printf("printed:");
  std::istringstream words(printed);
  for (std::string word; words >> word;) {
    if (word != "^C") std::printf(" %s", word.substr(word.starts_with("^C") ? 2 : 0).c_str());
  }
  std::printf("\n");
}
