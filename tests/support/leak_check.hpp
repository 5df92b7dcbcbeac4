// The check that every test of pools ends with: nothing is left. No process, zombie, descriptor,
// thread, or mapping of shared memory more than before.
#pragma once

#include <string>

namespace procpool::testing {

// What this process has right now.
struct holdings {
  int descriptors = 0;
  int threads = 0;
  int children = 0;     // zombies included, and those of descendants that lost their parents
  int shared_maps = 0;  // mappings of memfds
  static holdings now();
};

// Descendants that lose their parent become children of this process, so that they are counted.
void adopt_orphans();

// Waits, for some seconds at most, until there is no more than `before`; otherwise says what is
// left. Reaps nothing: zombies count.
std::string leaked_since(const holdings& before);

}  // namespace procpool::testing
