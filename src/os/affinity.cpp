#include "os/affinity.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdlib>
#include <map>
#include <string>

namespace procpool::os {
namespace {

constexpr unsigned bits_per_word = sizeof(unsigned long) * CHAR_BIT;

int number_in_file(const std::string& path, const file_reader& read_file) {
  const auto text = read_file(path);
  return text ? std::atoi(text->c_str()) : 0;
}

}  // namespace

std::vector<unsigned> allowed_cpus() {
  std::vector<unsigned> cpus;
  // As in cpu_count.cpp: the kernel refuses a mask smaller than its own.
  for (unsigned size = 1024; size <= 1U << 20U; size *= 4) {
    std::vector<unsigned long> words(size / bits_per_word);
    auto* set = reinterpret_cast<cpu_set_t*>(words.data());
    if (::sched_getaffinity(0, words.size() * sizeof(unsigned long), set) != 0) {
      if (errno != EINVAL) break;
      continue;
    }
    for (unsigned cpu = 0; cpu < size; ++cpu) {
      if ((words[cpu / bits_per_word] >> cpu % bits_per_word & 1U) != 0) cpus.push_back(cpu);
    }
    break;
  }
  return cpus;
}

void sort_by_distance(std::vector<unsigned>& cpus, const file_reader& read_file) {
  std::map<unsigned, std::array<int, 4>> places;
  for (int position = 0; const unsigned cpu : cpus) {
    const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    places[cpu] = {number_in_file(folder + "physical_package_id", read_file),
                   number_in_file(folder + "die_id", read_file),
                   number_in_file(folder + "core_id", read_file), position++};
  }
  std::sort(cpus.begin(), cpus.end(),
            [&](unsigned a, unsigned b) { return places[a] < places[b]; });
}

bool bind_to(std::span<const unsigned> cpus) {
  if (cpus.empty()) return false;
  std::vector<unsigned long> words(*std::max_element(cpus.begin(), cpus.end()) / bits_per_word + 1);
  for (const unsigned cpu : cpus) words[cpu / bits_per_word] |= 1UL << cpu % bits_per_word;
  return ::sched_setaffinity(0, words.size() * sizeof(unsigned long),
                             reinterpret_cast<const cpu_set_t*>(words.data())) == 0;
}

}  // namespace procpool::os
