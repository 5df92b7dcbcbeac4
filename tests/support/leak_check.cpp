#include "support/leak_check.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <sstream>
#include <thread>
#include <vector>

namespace procpool::testing {
namespace {

using namespace std::chrono_literals;

void for_each_entry(const char* folder, const std::function<void(const char*)>& f) {
  DIR* dir = opendir(folder);
  if (dir == nullptr) return;
  while (const dirent* e = readdir(dir)) {
    if (e->d_name[0] != '.') f(e->d_name);
  }
  closedir(dir);
}

constexpr const char shared_memory[] = "/memfd:procpool";

std::string target_of(const char* descriptor) {
  char target[256] = {};
  const std::string path = std::string("/proc/self/fd/") + descriptor;
  return readlink(path.c_str(), target, sizeof target - 1) > 0 ? target : "";
}

// The text of a file in /proc. With read(): a stream throws when the process vanishes between open
// and read.
std::string text_of(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(fd, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(n));
  }
  close(fd);
  return text;
}

// f(state, pid, line) for each child.
void for_each_child(const std::function<void(char, const char*, const std::string&)>& f) {
  const int me = getpid();
  for_each_entry("/proc", [&](const char* name) {
    if (name[0] < '0' || name[0] > '9') return;
    const std::string line = text_of(std::string("/proc/") + name + "/stat");
    const auto end = line.rfind(')');
    if (end == std::string::npos) return;
    std::istringstream rest(line.substr(end + 1));
    char state = 0;
    int parent = -1;
    rest >> state >> parent;
    if (parent == me) f(state, name, line.substr(0, end + 3));
  });
}

std::string describe_children() {
  std::string out;
  for_each_child([&](char, const char*, const std::string& line) { out += "\n    " + line; });
  return out;
}

std::string describe_descriptors() {
  std::string out;
  for_each_entry("/proc/self/fd", [&](const char* name) {
    const std::string target = target_of(name);
    if (!target.empty()) out += std::string("\n    ") + name + " -> " + target;
  });
  return out;
}

std::string describe_threads() {
  std::string out;
  for_each_entry("/proc/self/task", [&](const char* name) {
    out += std::string("\n    ") + name + " " +
           text_of(std::string("/proc/self/task/") + name + "/comm");
  });
  return out;
}

std::vector<std::string> shared_mappings() {
  std::vector<std::string> found;
  std::istringstream maps(text_of("/proc/self/maps"));
  for (std::string line; std::getline(maps, line);) {
    if (line.find(shared_memory) != std::string::npos) found.push_back(line);
  }
  return found;
}

std::string describe_mappings() {
  std::string out;
  for (const std::string& line : shared_mappings()) out += "\n    " + line;
  return out;
}

holdings test_began_with;
std::chrono::milliseconds test_limit = leak_limit;

}  // namespace

void adopt_orphans() { prctl(PR_SET_CHILD_SUBREAPER, 1); }

holdings holdings::now() {
  holdings h;
  for_each_entry("/proc/self/fd", [&](const char* name) {
    ++h.descriptors;
    if (target_of(name).starts_with(shared_memory)) ++h.memfds;
  });
  for_each_entry("/proc/self/task", [&](const char*) { ++h.threads; });
  for_each_child([&](char state, const char*, const std::string&) {
    ++h.children;
    if (state == 'Z') ++h.zombies;
  });
  h.mappings = static_cast<int>(shared_mappings().size());
  return h;
}

std::string leaked_since(const holdings& before, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const holdings h = holdings::now();
    std::string left;
    const auto compare = [&](const char* what, int holdings::* n, std::string (*describe)()) {
      if (h.*n <= before.*n) return;
      left += std::string(what) + ": " + std::to_string(h.*n - before.*n) + " more" + describe();
      left += "\n";
    };
    compare("descriptors", &holdings::descriptors, &describe_descriptors);
    compare("descriptors of shared memory", &holdings::memfds, &describe_descriptors);
    compare("mappings of shared memory", &holdings::mappings, &describe_mappings);
    compare("threads", &holdings::threads, &describe_threads);
    compare("processes", &holdings::children, &describe_children);
    compare("zombies", &holdings::zombies, &describe_children);
    if (left.empty() || std::chrono::steady_clock::now() > deadline) return left;
    std::this_thread::sleep_for(5ms);
  }
}

holdings begin_leak_check() { return begin_leak_check(leak_limit); }

holdings begin_leak_check(std::chrono::milliseconds limit) {
  test_limit = limit;
  return test_began_with = holdings::now();
}

void keep_threads(int n) { test_began_with.threads += n; }

std::string end_leak_check() { return leaked_since(test_began_with, test_limit); }

}  // namespace procpool::testing
