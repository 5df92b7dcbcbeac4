#include "os/available_memory.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <new>
#include <sstream>

#include "os/file.hpp"

namespace procpool::os {
namespace {

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();
// The last part of memory is for all other processes.
constexpr std::uint64_t part_for_others = 32;
constexpr std::uint64_t part_before_next_look = 16;

// The number that follows `word` at the begin of a line; 0 if there is no such line.
std::uint64_t number_of(const std::string& text, const std::string& name) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    std::uint64_t number = 0;
    if (words >> word >> number && word == name) return number;
  }
  return 0;
}

std::optional<std::uint64_t> number_in(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  std::istringstream words(*text);
  std::uint64_t number = 0;
  if (words >> number) return number;
  return std::nullopt;  // "max"
}

std::uint64_t left_in(const std::string& folder, std::uint64_t swap, const text_reader& read_file) {
  const auto most = number_in(read_file(folder + "/memory.max"));
  const auto now = number_in(read_file(folder + "/memory.current"));
  if (!most || !now) return unlimited;
  const std::string stat = read_file(folder + "/memory.stat").value_or("");
  // Pages of files go when memory is wanted.
  const std::uint64_t files = number_of(stat, "inactive_file") + number_of(stat, "active_file");
  const std::uint64_t used = *now - std::min(*now, files);
  if (const auto most_swap = number_in(read_file(folder + "/memory.swap.max"))) {
    const std::uint64_t swapped = number_in(read_file(folder + "/memory.swap.current")).value_or(0);
    swap = std::min(swap, *most_swap - std::min(*most_swap, swapped));
  }
  return *most - std::min(*most, used) + swap;
}

}  // namespace

std::uint64_t available_memory(const text_reader& read_file) {
  std::uint64_t least = unlimited, swap = 0;
  if (const auto info = read_file("/proc/meminfo")) {
    swap = number_of(*info, "SwapFree:") * 1024;
    const std::uint64_t available = number_of(*info, "MemAvailable:") * 1024;
    if (available != 0) least = available + swap;
  }
  std::istringstream lines(read_file("/proc/self/cgroup").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("0::/")) continue;  // version 2
    std::string group = line.substr(3);
    if (group == "/") group.clear();
    for (;;) {
      least = std::min(least, left_in("/sys/fs/cgroup" + group, swap, read_file));
      if (group.empty()) break;
      group.erase(group.rfind('/'));
    }
  }
  return least;
}

bool is_little_memory(std::uint64_t bytes) noexcept {
  try {
    return bytes < available_memory(read_whole_file) / 16;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

bool reserve_estimate(std::uint64_t bytes) {
  static std::atomic<std::uint64_t> allowance{0};
  // relaxed: two threads that take from one look are still an estimate
  std::uint64_t left = allowance.load(std::memory_order_relaxed);
  while (bytes <= left) {
    if (allowance.compare_exchange_weak(left, left - bytes, std::memory_order_relaxed)) return true;
  }
  const std::uint64_t available = available_memory(read_whole_file);
  if (bytes > available - available / part_for_others) return false;
  // relaxed: as above
  allowance.store((available - bytes) / part_before_next_look, std::memory_order_relaxed);
  return true;
}

}  // namespace procpool::os
