// Figures: percentiles of samples, and what the processes of this program cost.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace bench {

inline double percentile(std::vector<double> samples, double p) {
  if (samples.empty()) return -1;
  std::ranges::sort(samples);
  const double at = p / 100 * static_cast<double>(samples.size() - 1);
  return samples[static_cast<std::size_t>(at + 0.5)];
}
inline double median(const std::vector<double>& samples) { return percentile(samples, 50); }

// CPU seconds of all processes of this session, dead ones too where their parent has reaped them.
double session_cpu();
double this_thread_cpu();
// Proportional memory (PSS) of a process, in bytes; without what is shared with others.
double memory_of(int pid);

// One line of the results.
struct row {
  std::string work, title, parameter, unit, contender;
  double x = 0, median = 0, p99 = -1, cpu = -1;  // negative: not known
  std::vector<double> samples;
  std::vector<double> percentiles;  // 50, 90, 99, 99.9; or empty
};

// As results.json, for tools/bench_page.py.
void write_json(const std::string& path, const std::vector<row>& rows, int rounds);

}  // namespace bench
