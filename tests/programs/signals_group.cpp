// Signals to a program and all of its processes: signals_group <start method> <scene> <folder>.
// The program is in a process group of its own. Its scenes say what it does about signals; it sends
// all of them to its group, and to each process of it by itself, as a control group's end does,
// while two tasks, a process object and a manager are at work. Prints what became of them.
#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "conformance/meeting_point.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

std::vector<int> all_signals() {
  std::vector<int> all{SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,   SIGUSR1, SIGUSR2,
                       SIGALRM, SIGPROF, SIGIO,   SIGVTALRM, SIGPWR,  SIGXCPU,
                       SIGXFSZ, SIGPIPE, SIGTSTP, SIGTTIN,   SIGTTOU, SIGSTKFLT};
  for (int s = SIGRTMIN; s <= SIGRTMAX; s += 5) all.push_back(s);
  return all;
}

void set_all(void (*handler)(int), int flags = 0) {
  for (const int signal : all_signals()) {
    struct sigaction action{};
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigaction(signal, &action, nullptr);
  }
}

void block_all() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : all_signals()) sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

std::string field(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name + ":"))
      return line.substr(line.find_first_not_of(" \t", name.size() + 1));
  }
  return {};
}

std::vector<pid_t> group() {
  std::vector<pid_t> pids;
  DIR* dir = opendir("/proc");
  while (const dirent* e = readdir(dir)) {
    if (std::isdigit(static_cast<unsigned char>(e->d_name[0])) == 0) continue;
    if (const pid_t pid = std::atoi(e->d_name); getpgid(pid) == getpgrp()) pids.push_back(pid);
  }
  closedir(dir);
  return pids;
}

// The process has taken the signal, unless it blocks it (the fork servers do).
bool is_delivered(pid_t pid, int signal) {
  const std::string status = "/proc/" + std::to_string(pid) + "/status";
  const auto bits = [&](const char* name) {
    return std::strtoull(field(status, name).c_str(), nullptr, 16);
  };
  const unsigned long long pending = bits("SigPnd") | bits("ShdPnd");
  return (pending & ~bits("SigBlk") & 1ULL << (signal - 1)) == 0;
}

std::string at(const std::string& folder, const std::string& name) { return folder + name; }

void be_somewhere(const std::string& begun, const std::string& gate, const std::string& ended) {
  between_gates(begun, gate, ended);
}

int size_of(const std::string& text) { return static_cast<int>(text.size()); }

// All signals in a row, then what was at work continues.
void shower(const std::string& method, const std::string& folder, bool one_by_one,
            void (*late_handler)(int)) {
  const auto m = method == "fork"         ? start_method::fork
                 : method == "forkserver" ? start_method::forkserver
                                          : start_method::spawn;
  const std::string begun = at(folder, one_by_one ? "begun1" : "begun0");
  const std::string gate = at(folder, one_by_one ? "gate1" : "gate0");
  const std::string ended = at(folder, "ended");
  process single({.start = m}, be_somewhere, begun, gate, ended);
  manager objects;
  const auto text = objects.make<std::string>("abc");
  process_pool_executor pool(pool_options{.max_workers = 2, .start = m});
  std::vector<future<int>> tasks;
  for (int i = 0; i < 2; ++i) tasks.push_back(pool.submit(between_gates, begun, gate, ended));
  eventually([&] { return count_lines(begun) == 3; });
  if (late_handler != nullptr) set_all(late_handler);
  const std::vector<pid_t> pids = group();
  for (const int signal : all_signals()) {
    if (one_by_one) {
      for (const pid_t pid : pids) kill(pid, signal);
    } else {
      kill(0, signal);
    }
    for (const pid_t pid : pids) {
      if (!eventually([&] { return is_delivered(pid, signal); })) std::printf("late: %d\n", signal);
    }
  }
  touch(gate);
  int lost = 0;
  for (auto& task : tasks) {
    try {
      task.get();
    } catch (const worker_crashed& e) {
      std::printf("%s: signal %d\n", one_by_one ? "each" : "group", e.signal());
      ++lost;
    }
  }
  single.join();
  const int size = text.call(size_of);
  std::printf("%s: lost %d, process %d, manager %d\n", one_by_one ? "each" : "group", lost,
              single.exit_code().value_or(-1000), size);
  std::fflush(stdout);
}

// Waits with tasks at work for the test's signal, which ends or stops it.
void wait_with_tasks(const std::string& method, const std::string& folder) {
  const auto m = method == "fork"         ? start_method::fork
                 : method == "forkserver" ? start_method::forkserver
                                          : start_method::spawn;
  process single({.start = m}, be_somewhere, at(folder, "begun"), at(folder, "gate"),
                 at(folder, "ended"));
  process_pool_executor pool(pool_options{.max_workers = 1, .start = m});
  const auto task =
      pool.submit(between_gates, at(folder, "begun"), at(folder, "gate"), at(folder, "ended"));
  eventually([&] { return count_lines(at(folder, "begun")) == 2; });
  touch(at(folder, "ready"));
  task.wait();
  single.join();
  std::printf("finished\n");
}

}  // namespace

int main(int, char** argv) {
  const std::string method = argv[1], scene = argv[2], folder = argv[3];
  setpgid(0, 0);
  void (*const handler)(int) = [](int) {};
  if (scene == "default") {
    wait_with_tasks(method, folder);
    return 0;
  }
  if (scene == "ignored") set_all(SIG_IGN);
  if (scene == "handled") set_all(handler);
  if (scene == "handled_once") set_all(handler, static_cast<int>(SA_RESETHAND));
  if (scene == "blocked") block_all();
  if (scene == "ignored_late") {
    shower(method, folder, false, SIG_IGN);
  } else {
    shower(method, folder, false, scene == "handled_late" ? handler : nullptr);
  }
  if (scene == "handled_once") set_all(handler, static_cast<int>(SA_RESETHAND));
  shower(method, folder, true, nullptr);
}
