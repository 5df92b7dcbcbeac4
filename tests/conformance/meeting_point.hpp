// A folder through which a test and its tasks talk: files that appear, and lines that are appended.
// Tasks get paths, so it works under every start method, and after a crash. All waits are bounded.
#pragma once

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>

#include "support/pool_test.hpp"

namespace procpool::testing {

inline bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

inline void touch(const std::string& path) { std::ofstream(path).put('\n'); }

// Polls until the file exists; a task that is not let through fails.
inline void wait_for(const std::string& path) {
  if (!eventually([&] { return exists(path); }, duration(60))) {
    throw std::runtime_error("nobody made " + path);
  }
}

// One write for each line: several processes may append at once.
inline void append_line(const std::string& path, const std::string& line) {
  std::ofstream(path, std::ios::app) << line + "\n";
}

inline int count_lines(const std::string& path) {
  std::ifstream file(path);
  int n = 0;
  for (std::string line; std::getline(file, line);) ++n;
  return n;
}

// Waits at the gate; returns its worker's pid.
inline pid_t pid_behind_gate(const std::string& gate) {
  wait_for(gate);
  return getpid();
}

// Says that it has begun, waits at the gate, and says that it has ended.
inline int between_gates(const std::string& begun, const std::string& gate,
                         const std::string& ended) {
  append_line(begun, std::to_string(getpid()));
  wait_for(gate);
  append_line(ended, std::to_string(getpid()));
  return 1;
}

inline pid_t own_pid() { return getpid(); }

inline bool is_alive(pid_t pid) { return ::kill(pid, 0) == 0; }

class meeting_point {
 public:
  meeting_point() {
    std::string name = (std::filesystem::temp_directory_path() / "procpool-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
  }

  ~meeting_point() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  meeting_point(const meeting_point&) = delete;
  meeting_point& operator=(const meeting_point&) = delete;

  std::string operator()(const std::string& name) const { return folder_ + "/" + name; }

 private:
  std::string folder_;
};

// Opens a gate at the end of a scope, before the pool declared in front of it is shut down: a test
// that fails in between does not wait for tasks that are not let through.
class opens_at_exit {
 public:
  explicit opens_at_exit(std::string gate) : gate_(std::move(gate)) {}
  ~opens_at_exit() { touch(gate_); }
  opens_at_exit(const opens_at_exit&) = delete;
  opens_at_exit& operator=(const opens_at_exit&) = delete;

 private:
  std::string gate_;
};

}  // namespace procpool::testing
