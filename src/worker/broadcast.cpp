// The worker's side of a broadcast; the caller's is pool/broadcast.cpp.
#include "procpool/detail/executor/broadcast.hpp"

#include <atomic>
#include <stdexcept>

#include "objects/rendezvous_words.hpp"
#include "os/futex.hpp"
#include "shm/process_page.hpp"

namespace procpool::detail {
namespace {

constexpr std::chrono::seconds longest_sleep{1};  // a wake may die with its sender

}  // namespace

void arrive_and_wait(const rendezvous_words& words, std::uint32_t place) {
  std::atomic<std::uint32_t>& state = sync::gate_of(words);
  // seq_cst: before the look whether the caller sleeps
  sync::place_of(words, place).store(1);
  shm::ring_doorbell(*shm::current_page());
  constexpr auto closed = static_cast<std::uint32_t>(gate::closed);
  // acquire: the gate is opened once, and comes with nothing but itself
  while (state.load(std::memory_order_acquire) == closed) {
    os::futex_wait(state, closed, longest_sleep);
  }
  if (state.load(std::memory_order_acquire) != static_cast<std::uint32_t>(gate::open)) {
    throw std::runtime_error("this broadcast was aborted");
  }
}

}  // namespace procpool::detail
