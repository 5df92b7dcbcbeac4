// The CPUs on which this process may run: wraps sched_getaffinity and sched_setaffinity, and reads
// the topology below /sys/devices/system/cpu. Any thread.
#pragma once

#include <span>
#include <vector>

#include "os/cpu_count.hpp"

namespace procpool::os {

// The CPUs of the calling thread's affinity mask, in the order of their numbers; empty if they
// cannot be known. The mask is never larger than the cpuset of the control group.
std::vector<unsigned> allowed_cpus();

// Sorts by package, die and core, so that neighbours share caches. Without /sys by number.
// `read_file` as in cpu_quota().
void sort_by_distance(std::vector<unsigned>& cpus, const file_reader& read_file);

// Binds the calling thread to the CPUs, and all threads and processes that it starts later. False
// if the kernel refuses, for example since none of them is in the cpuset any more.
bool bind_to(std::span<const unsigned> cpus);

}  // namespace procpool::os
