// How many CPUs this process may use, the default number of workers: wraps sched_getaffinity, and
// reads the CPU quotas of the control groups below /sys/fs/cgroup. Any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace procpool::os {

// The smaller of the affinity mask and the CPU quota of the control groups (v1 and v2, all
// visible ancestors), rounded up; at least 1.
int cpu_count();

// The quota alone, as a number of CPUs. Tests pass their own files: the text of /proc/self/cgroup,
// and a function that returns the text of a file, or nothing if there is no such file.
using file_reader = std::function<std::optional<std::string>(const std::string& path)>;
std::optional<double> cpu_quota(std::string_view proc_self_cgroup, const file_reader& read_file);

}  // namespace procpool::os
