#include "sync/section.hpp"

#include <algorithm>

#include "os/clock.hpp"

namespace procpool::sync {

bool monitor::is_time_to_patrol() noexcept {
  const auto now = static_cast<u64>(os::monotonic_ns());
  // relaxed: it only spreads work
  u64 last = patrolled.load(std::memory_order_relaxed);
  const u64 pause = std::chrono::nanoseconds(longest_slice).count();
  if (last != 0 && last <= now && now - last < pause) return false;
  return patrolled.compare_exchange_strong(last, now, std::memory_order_relaxed);
}

section::section(const guarded_memory& memory) noexcept : memory_(memory) {
  memory_.as<monitor>().lock.lock(deadline::never());
  // Not only when it was taken over: whoever did that may have died as well.
  roll_back();
}

section::~section() {
  monitor& m = memory_.as<monitor>();
  // release: after all that was changed
  m.written.store(0, std::memory_order_release);
  m.lock.unlock();
}

void section::set(std::atomic<u64>& word, u64 value) noexcept {
  std::atomic<u64>& written = memory_.as<monitor>().written;
  const u64 n = written.load(std::memory_order_relaxed);
  if (n >= memory_.records) return;  // a process has written there
  journal_record& r = memory_.journal()[n];
  r.where.store(static_cast<u64>(reinterpret_cast<std::byte*>(&word) - memory_.data),
                std::memory_order_relaxed);
  r.before.store(word.load(std::memory_order_relaxed), std::memory_order_relaxed);
  written.store(n + 1, std::memory_order_release);  // after the record
  word.store(value, std::memory_order_release);     // after the count
}

void section::roll_back() noexcept {
  std::atomic<u64>& written = memory_.as<monitor>().written;
  u64 n = std::min<u64>(written.load(std::memory_order_relaxed), memory_.records);
  for (; n != 0; --n) {
    const journal_record& r = memory_.journal()[n - 1];
    const u64 where = r.where.load(std::memory_order_relaxed);
    if (where % sizeof(u64) == 0 && where <= memory_.bytes - sizeof(u64)) {
      auto& word = *reinterpret_cast<std::atomic<u64>*>(memory_.data + where);
      word.store(r.before.load(std::memory_order_relaxed), std::memory_order_release);
    }
    written.store(n - 1, std::memory_order_release);
  }
}

tally* tallies::of(os::owner_id owner) const noexcept {
  // Where it is, unless another one was there before.
  tally& home = first[owner % size];
  if (section::get(home.owner) == owner) return &home;
  tally* const found =
      std::find_if(begin(), end(), [&](const tally& t) { return section::get(t.owner) == owner; });
  return found == end() ? nullptr : found;
}

tally* tallies::of_or_new(section& s, os::owner_id owner) const noexcept {
  if (tally* known = of(owner); known != nullptr) return known;
  tally* place = &first[owner % size];
  if (section::get(place->owner) != os::no_owner) place = of(os::no_owner);
  if (place == nullptr) {
    place = std::find_if(begin(), end(), [](const tally& t) { return section::get(t.count) == 0; });
  }
  if (place == end()) return nullptr;
  s.set(place->owner, owner);
  s.set(place->count, 0);
  return place;
}

}  // namespace procpool::sync
