#include "os/cpu_count.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <exception>
#include <sstream>
#include <vector>

#include "os/file.hpp"

namespace procpool::os {
namespace {

int affinity_count() {
  // The kernel refuses a mask smaller than its own with EINVAL; machines with more than 1,024 CPUs
  // need more than cpu_set_t.
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
    const std::size_t size = CPU_ALLOC_SIZE(static_cast<std::size_t>(cpus));
    std::vector<unsigned long> bits(size / sizeof(unsigned long));
    auto* set = reinterpret_cast<cpu_set_t*>(bits.data());
    if (::sched_getaffinity(0, size, set) == 0) return CPU_COUNT_S(size, set);
    if (errno != EINVAL) break;
  }
  return static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
}

std::optional<double> ratio(const std::string& quota, const std::string& period) {
  try {
    const double q = std::stod(quota);
    const double p = std::stod(period);
    if (q > 0 && p > 0) return q / p;
  } catch (const std::exception&) {  // "max", or something unknown: no limit
  }
  return std::nullopt;
}

std::optional<double> quota_v2(const std::string& folder, const file_reader& read_file) {
  const auto text = read_file(folder + "/cpu.max");
  if (!text) return std::nullopt;
  std::istringstream words(*text);
  std::string quota, period;
  words >> quota >> period;
  return ratio(quota, period);
}

std::optional<double> quota_v1(const std::string& folder, const file_reader& read_file) {
  const auto quota = read_file(folder + "/cpu.cfs_quota_us");
  const auto period = read_file(folder + "/cpu.cfs_period_us");
  return quota && period ? ratio(*quota, *period) : std::nullopt;
}

// A quota binds everything below it: the smallest one on the way to the root counts.
template <class Read>
void walk_up(const std::string& root, std::string group, std::optional<double>& least, Read read) {
  for (;;) {
    if (const auto quota = read(root + group)) least = least ? std::min(*least, *quota) : *quota;
    if (group.empty()) return;
    group.erase(group.rfind('/'));
  }
}

}  // namespace

std::optional<double> cpu_quota(std::string_view proc_self_cgroup, const file_reader& read_file) {
  std::optional<double> least;
  std::istringstream lines{std::string(proc_self_cgroup)};
  for (std::string line; std::getline(lines, line);) {  // "id:controllers:/path"
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    std::string group = line.substr(second + 1);
    if (group.empty() || group.front() != '/') continue;
    if (group == "/") group.clear();
    if (controllers == ",,") {
      for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
        walk_up(root, group, least,
                [&](const std::string& folder) { return quota_v2(folder, read_file); });
      }
    } else if (controllers.find(",cpu,") != std::string::npos) {
      for (const char* root : {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}) {
        walk_up(root, group, least,
                [&](const std::string& folder) { return quota_v1(folder, read_file); });
      }
    }
  }
  return least;
}

int cpu_count() {
  int count = affinity_count();
  if (const auto groups = read_whole_file("/proc/self/cgroup")) {
    if (const auto quota = cpu_quota(*groups, read_whole_file)) {
      count = std::min(count, static_cast<int>(std::ceil(std::min(*quota, 1e6))));
    }
  }
  return std::max(count, 1);
}

}  // namespace procpool::os
