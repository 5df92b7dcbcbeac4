// The check that every test ends with (main.cpp): nothing is left. No process, zombie, descriptor,
// thread, or mapping of shared memory more than before.
#pragma once

#include <chrono>
#include <string>

namespace procpool::testing {

// What this process has right now.
struct holdings {
  int descriptors = 0;
  int memfds = 0;    // those of them that are shared memory of procpool
  int mappings = 0;  // of such memory
  int threads = 0;
  int children = 0;  // zombies included, and those of descendants that lost their parents
  int zombies = 0;
  static holdings now();
};

// Descendants that lose their parent become children of this process, so that they are counted.
void adopt_orphans();

// Waits, up to the limit, until there is no more than `before`; otherwise says what is left. Reaps
// nothing: zombies count.
inline constexpr std::chrono::milliseconds leak_limit{20'000};
std::string leaked_since(const holdings& before, std::chrono::milliseconds limit = leak_limit);

// From here on counts what the running test leaves. Each test begins with it; fixtures call it
// again when they have made what a process has once. Returns what there is now.
holdings begin_leak_check();
// The same, for a test that is known to leave something: its end does not wait so long.
holdings begin_leak_check(std::chrono::milliseconds limit);
// So many threads more may be left: those of another library, which keeps them.
void keep_threads(int n);
// The test's end: leaked_since its beginning.
std::string end_leak_check();

}  // namespace procpool::testing
