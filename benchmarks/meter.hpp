// Figures: percentiles of samples, and what the processes of this program cost.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
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
// The same without the calling thread, which does nothing but look what the others take.
double session_cpu_of_others();
// How often the threads of this session, without the caller, were put on a CPU.
double session_switches();
// Proportional memory (PSS) of a process, in bytes: what several share is divided among them.
double memory_of(int pid);
// The same, of all processes of this session.
double session_memory();

// The figure that `sample` finds in a child of this process, which ends then: the memory and the
// threads that it takes are its own. Negative: it failed, or took a minute.
double in_a_child(const std::function<double()>& sample);

}  // namespace bench
