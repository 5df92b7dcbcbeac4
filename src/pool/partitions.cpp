#include "pool/partitions.hpp"

namespace procpool::parent {

using shm::u32;
using shm::u64;

u64 partitions::take(u32 seat) noexcept {
  reclaim();
  return find(seat);
}

u64 partitions::find(u32 seat) noexcept {
  for (u64 p = 1; p < uses_.size(); ++p) {
    use& u = uses_[p];
    if (u.taken) continue;
    u.taken = true;
    // release: for is_of(), before a worker can write there
    u.seat.store(seat, std::memory_order_release);
    return p;
  }
  return 0;
}

void partitions::retire(u64 p) noexcept {
  if (p == 0 || uses_[p].retired) return;
  uses_[p].retired = true;
  ++retired_;
}

// The offset of the outcome; below the arena if it has no block.
u64 partitions::outcome_block(const task_record& r) const noexcept {
  const shm::slot& s = region_.at(r.index);
  return r.items != 0 ? reinterpret_cast<const shm::chunk_progress*>(s.bytes)->outcomes.load()
                      : s.block.load();
}

void partitions::reclaim() noexcept {
  if (retired_ == 0) return;
  for (use& u : uses_) u.read = false;
  for_each_result([this](const task_record&, u64 p) { uses_[p].read = true; });
  for (u64 p = 1; p < uses_.size(); ++p) {
    use& u = uses_[p];
    if (!u.taken || !u.retired || u.read) continue;
    u.taken = u.retired = false;
    --retired_;
  }
}

}  // namespace procpool::parent
