// How much memory this process can still get before the kernel has to kill a process for it: reads
// /proc/meminfo and the memory limits of the control groups below /sys/fs/cgroup. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace procpool::os {

// The smaller of what the machine has available, with swap, and what the control groups (v2, all
// visible ancestors) allow; the largest u64 where nothing is known. `read_file` returns the text of
// a file, or nothing if there is no such file.
using text_reader = std::function<std::optional<std::string>(const std::string& path)>;
std::uint64_t available_memory(const text_reader& read_file);

// Whether `bytes` is less than a sixteenth of the available memory. Reads the files each time,
// about 10 us.
bool is_little_memory(std::uint64_t bytes) noexcept;

// Returns false if `bytes` is clearly more than the available memory. Reads the files again only
// when a good part of the amount last seen has been reserved, so that small requests cost nothing.
// An estimate: other processes allocate, too.
bool reserve_estimate(std::uint64_t bytes);

}  // namespace procpool::os
