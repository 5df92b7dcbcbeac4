// Work that is no longer wanted: cancel() takes back a task that has not started, and with
// kill_running ends one that runs, whatever it is doing. Here several searches race for one answer.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <procpool/procpool.hpp>

namespace pp = procpool;
using namespace std::chrono_literals;

// The first n from `start` on whose hash ends in that many zero bits: with 60 it takes for ever,
// and there is no way to ask it to stop.
std::uint64_t search(std::uint64_t start, int zero_bits) {
  for (std::uint64_t n = start;; ++n) {
    std::uint64_t hash = (n ^ n >> 30) * 0xBF58476D1CE4E5B9;
    hash = (hash ^ hash >> 27) * 0x94D049BB133111EB;
    hash ^= hash >> 31;
    if ((hash & ((std::uint64_t{1} << zero_bits) - 1)) == 0) return n;
  }
}

int main() {
  pp::process_pool_executor pool(2);
  std::vector<pp::future<std::uint64_t>> searches;
  for (const int zero_bits : {60, 16, 60, 60, 60, 60, 60, 60}) {
    searches.push_back(pool.submit(search, 1, zero_bits));
  }
  std::uint64_t answer = 0;
  for (auto& done : pp::as_completed(searches, 60s)) {
    answer = done.get();
    break;  // leaves the others running
  }
  std::printf("found %lu\n", static_cast<unsigned long>(answer));

  // Taken back without a trace where a task has not started ...
  int cancelled = 0;
  for (auto& other : searches) cancelled += other.valid() && other.cancel();
  std::printf("%d searches cancelled before they began\n", cancelled);

  // ... and ended with its worker where it runs. The worker is replaced.
  int killed = 0;
  for (auto& other : searches) {
    if (!other.valid() || other.cancelled()) continue;
    other.cancel(pp::cancel_mode::kill_running);
    try {
      other.get();
    } catch (const pp::cancelled_error&) {
      ++killed;
    }
  }
  std::printf("%d searches ended while they ran\n", killed);

  const bool works_on = pool.submit(search, 1, 16).get() == answer;
  return works_on && killed >= 1 && cancelled + killed == 7 ? 0 : 1;
}
