// Practice 3: submit and as_completed, when tasks differ and each result is wanted as soon as it is
// there. as_completed hands out the elements of your own range: no dictionary from futures to jobs.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include <procpool/procpool.hpp>

namespace pp = procpool;
using namespace std::chrono_literals;

struct chain {  // travels as it is: an aggregate of values
  std::uint64_t start = 0;
  int steps = 0;
};

// The start below `limit` with the longest Collatz sequence.
chain longest_chain(std::uint64_t limit) {
  chain best;
  for (std::uint64_t start = 1; start < limit; ++start) {
    int steps = 0;
    for (std::uint64_t n = start; n != 1; n = n % 2 == 0 ? n / 2 : 3 * n + 1) ++steps;
    if (steps > best.steps) best = {start, steps};
  }
  return best;
}

struct job {
  std::string name;
  pp::future<chain> result;
};

int main() {
  pp::process_pool_executor pool;
  std::vector<job> jobs;
  for (const std::uint64_t limit : {1'000'000u, 10u, 100'000u, 1'000u}) {
    jobs.push_back({"below " + std::to_string(limit), pool.submit(longest_chain, limit)});
  }

  std::size_t done = 0;
  chain longest;
  for (auto& [name, result] : pp::as_completed(jobs, &job::result, 60s)) {  // shortest first
    const chain best = result.get();
    std::printf("%-14s: %lu takes %d steps\n", name.c_str(), static_cast<unsigned long>(best.start),
                best.steps);
    if (best.steps > longest.steps) longest = best;
    ++done;
  }
  return done == 4 && longest.start == 837'799 && longest.steps == 524 ? 0 : 1;
}
