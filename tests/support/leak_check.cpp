#include "support/leak_check.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

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

int count_entries(const char* folder) {
  int n = 0;
  for_each_entry(folder, [&](const char*) { ++n; });
  return n;
}

// With read(): a stream throws when the process vanishes between open and read.
int parent_of(const std::string& pid) {
  const int fd = open(("/proc/" + pid + "/stat").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  char buffer[1024] = {};
  const ssize_t n = read(fd, buffer, sizeof buffer - 1);
  close(fd);
  const std::string text(buffer, n > 0 ? static_cast<std::size_t>(n) : 0);
  const auto end = text.rfind(')');
  if (end == std::string::npos) return -1;
  std::istringstream rest(text.substr(end + 1));
  std::string state;
  int parent = -1;
  rest >> state >> parent;
  return parent;
}

std::string describe_children() {
  std::string out;
  const int me = getpid();
  for_each_entry("/proc", [&](const char* name) {
    if (name[0] < '0' || name[0] > '9' || parent_of(name) != me) return;
    std::string line;
    std::ifstream stat(std::string("/proc/") + name + "/stat");
    std::getline(stat, line);
    out += "\n    " + line.substr(0, 60);
  });
  return out;
}

std::string describe_descriptors() {
  std::string out;
  for_each_entry("/proc/self/fd", [&](const char* name) {
    char target[256] = {};
    const std::string path = std::string("/proc/self/fd/") + name;
    if (readlink(path.c_str(), target, sizeof target - 1) > 0) {
      out += std::string("\n    ") + name + " -> " + target;
    }
  });
  return out;
}

}  // namespace

void adopt_orphans() { prctl(PR_SET_CHILD_SUBREAPER, 1); }

holdings holdings::now() {
  holdings h;
  h.descriptors = count_entries("/proc/self/fd");
  h.threads = count_entries("/proc/self/task");
  const int me = getpid();
  for_each_entry("/proc", [&](const char* name) {
    if (name[0] >= '0' && name[0] <= '9' && parent_of(name) == me) ++h.children;
  });
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/memfd:procpool-region") != std::string::npos) ++h.shared_maps;
  }
  return h;
}

std::string leaked_since(const holdings& before) {
  const auto deadline = std::chrono::steady_clock::now() + 5s;
  for (;;) {
    const holdings h = holdings::now();
    std::string left;
    if (h.descriptors > before.descriptors) {
      left += "descriptors: " + std::to_string(h.descriptors - before.descriptors) + " more" +
              describe_descriptors() + "\n";
    }
    if (h.threads > before.threads) {
      left += "threads: " + std::to_string(h.threads - before.threads) + " more\n";
    }
    if (h.children > before.children) {
      left += "processes: " + std::to_string(h.children - before.children) + " more" +
              describe_children() + "\n";
    }
    if (h.shared_maps > before.shared_maps) {
      left +=
          "shared memory: " + std::to_string(h.shared_maps - before.shared_maps) + " mappings\n";
    }
    if (left.empty() || std::chrono::steady_clock::now() > deadline) return left;
    std::this_thread::sleep_for(5ms);
  }
}

}  // namespace procpool::testing
