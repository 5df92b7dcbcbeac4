#include "meter.hpp"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

namespace bench {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

bool is_number(const std::string& name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
}

double total_of_session(const std::function<double(const fs::path& process)>& of) {
  double total = 0;
  const pid_t session = ::getsid(0);
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (!is_number(name) || ::getsid(std::atoi(name.c_str())) != session) continue;
    total += of(entry.path());
  }
  return total;
}

bool is_this_thread(const fs::path& task) { return task.filename() == std::to_string(::gettid()); }

// Of a process: its threads to the nanosecond, its reaped children to the tick.
double process_cpu(const fs::path& process, bool without_this_thread) {
  double seconds = 0;
  std::error_code gone;
  for (const auto& thread : fs::directory_iterator(process / "task", gone)) {
    if (without_this_thread && is_this_thread(thread.path())) continue;
    seconds += std::strtod(text_of(thread.path() / "schedstat").c_str(), nullptr) / 1e9;
  }
  const std::string stat = text_of(process / "stat");
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return seconds;
  std::istringstream fields(stat.substr(name_end + 1));
  std::string skipped;
  for (int i = 3; i < 16; ++i) fields >> skipped;  // up to the times of the children
  double user = 0, system = 0;
  fields >> user >> system;
  return seconds + (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

// The third number of schedstat: how often the thread was put on a CPU.
double process_switches(const fs::path& process) {
  double switches = 0;
  std::error_code gone;
  for (const auto& thread : fs::directory_iterator(process / "task", gone)) {
    if (is_this_thread(thread.path())) continue;
    std::istringstream fields(text_of(thread.path() / "schedstat"));
    double running = 0, waiting = 0, count = 0;
    fields >> running >> waiting >> count;
    switches += count;
  }
  return switches;
}

}  // namespace

double session_cpu() {
  return total_of_session([](const fs::path& process) { return process_cpu(process, false); });
}
double session_cpu_of_others() {
  return total_of_session([](const fs::path& process) { return process_cpu(process, true); });
}
double session_switches() { return total_of_session(process_switches); }
double session_memory() {
  return total_of_session([](const fs::path& process) {
    return std::max(0.0, memory_of(std::atoi(process.filename().c_str())));
  });
}

double memory_of(int pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/smaps_rollup");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("Pss:")) return std::strtod(line.c_str() + 4, nullptr) * 1024;
  }
  return -1;
}

double in_a_child(const std::function<double()>& sample) {
  int ends[2];
  if (::pipe(ends) != 0) return -1;
  const pid_t pid = ::fork();
  if (pid == 0) {
    double figure = -1;
    try {
      figure = sample();
    } catch (const std::exception& problem) {
      std::fprintf(stderr, "  in a child: %s\n", problem.what());
    }
    const ssize_t written = ::write(ends[1], &figure, sizeof(figure));
    ::_exit(written == sizeof(figure) ? 0 : 1);
  }
  ::close(ends[1]);
  double figure = -1;
  pollfd answer{ends[0], POLLIN, 0};
  if (pid > 0 && ::poll(&answer, 1, 60'000) == 1 &&
      ::read(ends[0], &figure, sizeof(figure)) != sizeof(figure)) {
    figure = -1;
  }
  ::close(ends[0]);
  if (pid > 0) {
    ::kill(pid, SIGKILL);  // what it started goes with it, and it has nothing to say any more
    ::waitpid(pid, nullptr, 0);
  }
  return figure;
}

}  // namespace bench
