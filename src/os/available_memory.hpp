// How much memory this process could still get, without making the kernel kill somebody for it.
// Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace procpool::os {

// From a function that reads a file (empty: not there): what the machine has available, with swap,
// and what the control groups (v2, all ancestors that can be seen) leave of it. The largest u64
// where nothing is known.
using text_reader = std::function<std::optional<std::string>(const std::string& path)>;
std::uint64_t available_memory(const text_reader& read_file);

// True if `bytes` are less than a sixteenth of that. Looks at the machine each time, which takes
// some ten microseconds.
bool is_little_memory(std::uint64_t bytes) noexcept;

// False if `bytes` are clearly more than there is. Looks again at the machine when a good part of
// what it saw last has been asked for, so that small requests cost nothing. An estimate: others
// allocate, too.
bool reserve_estimate(std::uint64_t bytes);

}  // namespace procpool::os
