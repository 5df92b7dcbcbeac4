#include "sync/transaction.hpp"

#include <algorithm>

#include "os/clock.hpp"

namespace procpool::sync {

bool guarded_header::is_time_to_check_liveness() noexcept {
  const auto now = static_cast<u64>(os::monotonic_ns());
  // relaxed: it only spreads the work
  u64 last = liveness_checked_ns.load(std::memory_order_relaxed);
  const u64 pause = std::chrono::nanoseconds(longest_slice).count();
  if (last != 0 && last <= now && now - last < pause) return false;
  return liveness_checked_ns.compare_exchange_strong(last, now, std::memory_order_relaxed);
}

transaction::transaction(const guarded_memory& memory) noexcept : memory_(memory) {
  memory_.as<guarded_header>().lock.lock(deadline::never());
  // The log is empty unless the previous owner died within its transaction: one load.
  roll_back();
}

transaction::~transaction() {
  guarded_header& header = memory_.as<guarded_header>();
  // release: after all changes
  header.undo_count.store(0, std::memory_order_release);
  header.lock.unlock();
}

void transaction::set(std::atomic<u64>& word, u64 value) noexcept {
  std::atomic<u64>& undo_count = memory_.as<guarded_header>().undo_count;
  const u64 n = undo_count.load(std::memory_order_relaxed);
  if (n >= memory_.undo_capacity) return;  // a process has overwritten the count
  undo_record& r = memory_.undo_log()[n];
  r.offset.store(static_cast<u64>(reinterpret_cast<std::byte*>(&word) - memory_.data),
                 std::memory_order_relaxed);
  r.old_value.store(word.load(std::memory_order_relaxed), std::memory_order_relaxed);
  undo_count.store(n + 1, std::memory_order_release);  // after the record
  word.store(value, std::memory_order_release);        // after the count
}

// The records are not trusted: a process may have overwritten them.
void transaction::roll_back() noexcept {
  std::atomic<u64>& undo_count = memory_.as<guarded_header>().undo_count;
  u64 n = std::min<u64>(undo_count.load(std::memory_order_relaxed), memory_.undo_capacity);
  for (; n != 0; --n) {
    const undo_record& r = memory_.undo_log()[n - 1];
    const u64 offset = r.offset.load(std::memory_order_relaxed);
    if (offset % sizeof(u64) == 0 && offset <= memory_.bytes - sizeof(u64)) {
      auto& word = *reinterpret_cast<std::atomic<u64>*>(memory_.data + offset);
      word.store(r.old_value.load(std::memory_order_relaxed), std::memory_order_release);
    }
    undo_count.store(n - 1, std::memory_order_release);
  }
}

holding* holdings::find(os::owner_id owner) const noexcept {
  // In most cases it is at its home position; a collision has put it anywhere else.
  holding& home = first[owner % size];
  if (transaction::get(home.owner) == owner) return &home;
  holding* const found = std::find_if(
      begin(), end(), [&](const holding& h) { return transaction::get(h.owner) == owner; });
  return found == end() ? nullptr : found;
}

holding* holdings::find_or_add(transaction& tx, os::owner_id owner) const noexcept {
  if (holding* known = find(owner); known != nullptr) return known;
  holding* place = &first[owner % size];
  if (transaction::get(place->owner) != os::no_owner) place = find(os::no_owner);
  if (place == nullptr) {
    place = std::find_if(begin(), end(),
                         [](const holding& h) { return transaction::get(h.count) == 0; });
  }
  if (place == end()) return nullptr;
  tx.set(place->owner, owner);
  tx.set(place->count, 0);
  return place;
}

}  // namespace procpool::sync
