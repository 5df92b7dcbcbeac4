// Where the workers of a broadcast and its caller meet, in shared memory.
//
//   word 0      the gate, a futex on which the workers wait; stored once by the caller
//   word 1 + i  1 once the task for place i has arrived; stored by its worker, and set back by the
//               caller when that worker has died
//
// Any thread that has a handle may use the words.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "procpool/detail/executor/broadcast.hpp"

namespace procpool::sync {

inline std::atomic<std::uint32_t>& rendezvous_word(const detail::rendezvous_words& words,
                                                   std::size_t i) {
  static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));
  return reinterpret_cast<std::atomic<std::uint32_t>&>(words[i]);
}
inline std::atomic<std::uint32_t>& gate_of(const detail::rendezvous_words& words) {
  return rendezvous_word(words, 0);
}
inline std::atomic<std::uint32_t>& place_of(const detail::rendezvous_words& words,
                                            std::uint32_t place) {
  return rendezvous_word(words, std::size_t{place} + 1);
}

}  // namespace procpool::sync
