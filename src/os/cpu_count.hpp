// How many CPUs this process may use: the default number of workers. Any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace procpool::os {

// The smaller of the affinity mask and the CPU quota of the control groups (v1 and v2, all
// ancestors that can be seen), rounded up; at least 1.
int cpu_count();

// The quota part on its own, as a number of CPUs, from the text of /proc/self/cgroup and a function
// that reads a file (empty: not there). Tests give it their own files.
using file_reader = std::function<std::optional<std::string>(const std::string& path)>;
std::optional<double> cpu_quota(std::string_view proc_self_cgroup, const file_reader& read_file);

}  // namespace procpool::os
