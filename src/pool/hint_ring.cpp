#include "pool/hint_ring.hpp"

namespace procpool::parent {

using shm::task_phase;
using shm::u32;
using shm::u64;

bool can_be_ready(const shm::slot& s, u64 word) noexcept {
  if (shm::worker_of(word) != 0 || (word & shm::unused_mask) != 0) return false;
  // acquire: a started task was claimed before, and the second load of the word finds the claim
  if (s.started.load(std::memory_order_acquire) != shm::started_stamp(word)) return true;
  return ((s.word.load() ^ word) & ~shm::flags_mask) != 0;
}

void hint_ring::put(task_record& r) noexcept {
  if (tail_ - head_ >= shm::ring_entries) {
    // Loaded only now: workers write this cache line with each task. The head only grows.
    head_ = region_.control().head.load(std::memory_order_relaxed);
    if (tail_ - head_ > shm::ring_entries) repair();
    if (tail_ - head_ >= shm::ring_entries) compact();
  }
  // relaxed: other threads load it under the mutex, or as a guess
  r.hint_position.store(tail_, std::memory_order_relaxed);
  // relaxed: the tail releases it
  region_.hint(tail_).store(r.generation | r.index, std::memory_order_relaxed);
  // release: publishes the hint and the slot with the tail
  region_.control().tail.store(++tail_, std::memory_order_release);
}

// When the ring is full of hints for cancelled tasks: takes hints out as a worker would.
void hint_ring::compact() noexcept {
  std::atomic<u64>& head = region_.control().head;
  for (u32 turns = 0; turns < shm::ring_entries; ++turns) {
    u64 h = head.load();
    if (tail_ - h <= shm::ring_entries / 2) return;
    // relaxed, here and below: as in put(); only the parent puts hints
    const u64 hint = region_.hint(h).load(std::memory_order_relaxed);
    if (!head.compare_exchange_strong(h, h + 1)) continue;
    task_record* r = table_.at(static_cast<u32>(hint & shm::slot_index_mask));
    u64 word = 0;
    if (r == nullptr || !r->load(word) || shm::phase_of(word) != shm::task_phase::ready) continue;
    if (r->generation != shm::generation_of(hint)) continue;
    r->hint_position.store(tail_, std::memory_order_relaxed);
    region_.hint(tail_).store(hint, std::memory_order_relaxed);
    region_.control().tail.store(++tail_, std::memory_order_release);
  }
}

void hint_ring::repair() noexcept {
  shm::control_block& c = region_.control();
  roster_.drop_impossible_roles();
  // relaxed: only the parent writes it, under the mutex
  if (c.tail.load(std::memory_order_relaxed) != tail_) c.tail.store(tail_);
  const u64 head = c.head.load();
  if (head <= tail_ && tail_ - head <= shm::ring_entries) return;
  // The workers continue from here. READY tasks get new hints.
  c.head.store(tail_);
  head_ = tail_;
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    task_record& r = *table_.at(i);
    u64 word = 0;
    if (r.references.load() == 0 || !r.load(word)) continue;
    if (shm::phase_of(word) == task_phase::ready && can_be_ready(region_.at(r.index), word)) put(r);
  }
}

}  // namespace procpool::parent
