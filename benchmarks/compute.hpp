// The one piece of work that takes as long as one likes.
#pragma once

#include <cstdint>

namespace bench {

// Computes for so many rounds: no memory, no clock, nothing that the compiler could leave out.
inline std::uint64_t compute(std::uint64_t rounds) {
  std::uint64_t x = rounds | 1U;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    x ^= x << 13U;
    x ^= x >> 7U;
    x ^= x << 17U;
  }
  return x;
}

}  // namespace bench
