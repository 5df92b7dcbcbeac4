#include "os/private_fds.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace procpool::os {
namespace {

// One bit for each descriptor up to the highest that fs.nr_open allows by default. Zero pages that
// are never touched cost nothing.
constexpr std::size_t max_fd = std::size_t{1} << 20;
constexpr std::size_t word_bits = 64;
constinit std::atomic<std::uint64_t> bits[max_fd / word_bits] = {};
// No bit is set at or above this word: the child does not look through all of them.
constinit std::atomic<std::size_t> used_words = 0;

// Relaxed everywhere: a bit says nothing about other memory, and fork orders what the child sees.
constexpr auto relaxed = std::memory_order_relaxed;

bool in_range(int fd) noexcept { return fd >= 0 && static_cast<std::size_t>(fd) < max_fd; }
std::size_t word_of(int fd) noexcept { return static_cast<std::size_t>(fd) / word_bits; }
std::uint64_t bit_of(int fd) noexcept {
  return std::uint64_t{1} << (static_cast<std::size_t>(fd) % word_bits);
}

}  // namespace

void add_private_fd(int fd) noexcept {
  if (!in_range(fd)) return;
  std::size_t used = used_words.load(relaxed);
  while (used <= word_of(fd) && !used_words.compare_exchange_weak(used, word_of(fd) + 1, relaxed)) {
  }
  bits[word_of(fd)].fetch_or(bit_of(fd), relaxed);
}

void remove_private_fd(int fd) noexcept {
  if (in_range(fd)) bits[word_of(fd)].fetch_and(~bit_of(fd), relaxed);
}

void close_private_fds(std::span<const int> keep) noexcept {
  const std::size_t words = used_words.load(relaxed);
  for (std::size_t word = 0; word < words; ++word) {
    for (std::uint64_t left = bits[word].load(relaxed); left != 0; left &= left - 1) {
      const int fd = static_cast<int>(word * word_bits) + std::countr_zero(left);
      if (std::find(keep.begin(), keep.end(), fd) != keep.end()) continue;
      remove_private_fd(fd);
      close_fd(fd);
    }
  }
}

}  // namespace procpool::os
