#include "worker/outcome.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <system_error>

#include "base/cycle_clock.hpp"
#include "objects/worker_registry.hpp"
#include "worker/invoke.hpp"

namespace procpool::worker {
namespace {

using shm::u32;
using shm::u64;

constexpr u64 first_chunk_block = 4096;
constexpr std::size_t looks_per_take = 8;

}  // namespace

shm::block result_blocks::take(u64 bytes) {
  const u32 c = shm::block_allocator::class_of(bytes);
  if (c < lent_.size()) {
    // Usually the oldest comes back first; a reader that keeps one must not keep the rest.
    std::deque<shm::block>& lent = lent_[c];
    for (std::size_t i = 0; i < std::min(looks_per_take, lent.size()); ++i) {
      const shm::block oldest = lent.front();
      if (is_back(oldest)) {
        lent.pop_front();
        return oldest;
      }
      lent.pop_front();
      lent.push_back(oldest);
    }
  }
  return blocks_.allocate(bytes);
}

void result_blocks::lend(shm::block b) noexcept {
  try {
    view_->header(b.offset).in_use.store(1, std::memory_order_relaxed);  // DONE publishes it
    if (lent_.size() <= b.size_class) lent_.resize(std::size_t{b.size_class} + 1);
    lent_[b.size_class].push_back(b);
  } catch (const std::bad_alloc&) {
    // It is not used again in this worker's life; the outcome in it is as good as any.
  }
}

bool result_blocks::tend() noexcept {
  if (!blocks_.is_giving_back()) {
    blocks_.tend();
    for (u32 c = shm::block_allocator::class_of(shm::large_block); c < lent_.size(); ++c) {
      std::erase_if(lent_[c], [this](const shm::block& b) {
        const bool back = is_back(b);
        if (back) blocks_.release(b);
        return back;
      });
    }
  }
  if (blocks_.give_back_some()) {
    tend_at_ = 0;
    return true;
  }
  tend_at_ = base::cycles() + pause_;
  return false;
}

void outcome_writer::grow(wire_writer& base, std::size_t need) {
  auto& self = static_cast<outcome_writer&>(base);
  const std::size_t used = self.size();
  shm::block bigger;
  std::byte* to = nullptr;
  try {
    bigger = self.blocks_->take(std::max(used + need, 2 * used));
    to = self.blocks_->address(bigger);
  } catch (const std::system_error& e) {
    if (bigger) self.blocks_->put_back(bigger);
    self.no_room_ = e.code().value();
    throw;
  }
  std::memcpy(to, self.begin_, used);
  if (self.block_) self.blocks_->put_back(self.block_);
  self.block_ = bigger;
  self.begin_ = to;
  self.cur_ = to + used;
  self.end_ = to + bigger.capacity;
}

void outcome_writer::note(wire_writer& base, const detail::shared_object& object) {
  worker_registry::instance().note(object);
  static_cast<outcome_writer&>(base).noted_ = true;
}

shm::outcome_kind outcome_writer::append_objects() {
  worker_registry::instance().append_noted(*this);
  noted_ = false;
  return shm::outcome_kind::value_with_objects;
}

void outcome_writer::forget_objects() noexcept {
  worker_registry::instance().forget_noted();
  noted_ = false;
}

void outcome_writer::finish(shm::outcome_kind kind) {
  if (noted_) [[unlikely]]
    kind = append_objects();
  // relaxed: the CAS to DONE releases them
  slot_->length.store(kind == shm::outcome_kind::no_room ? static_cast<u64>(no_room_) : size(),
                      std::memory_order_relaxed);
  slot_->kind.store(static_cast<std::uint16_t>(kind), std::memory_order_relaxed);
  slot_->block.store(block_.offset, std::memory_order_relaxed);
  if (block_) blocks_->lend(std::exchange(block_, {}));
}

chunk_writer::chunk_writer(shm::slot& s, result_blocks& blocks)
    : chunk_run(nullptr, nullptr, &grow, &write_exception, &note, &append_objects),
      slot_(&s),
      progress_line_(reinterpret_cast<shm::chunk_progress*>(s.bytes)),
      blocks_(&blocks) {
  first_ = progress_line_->first;
  count_ = progress_line_->count;
  begun_ = &progress_line_->begun;
  progress_ = &progress_line_->progress;
}

void chunk_writer::grow(wire_writer& base, std::size_t need) {
  auto& self = static_cast<chunk_writer&>(base);
  const std::size_t used = self.size();
  const shm::block bigger =
      self.blocks_->take(std::max<u64>({used + need, 2 * used, first_chunk_block}));
  std::byte* to = nullptr;
  try {
    to = self.blocks_->address(bigger);
  } catch (...) {
    self.blocks_->put_back(bigger);
    throw;
  }
  if (used != 0) std::memcpy(to, self.begin_, used);
  // A reader after this process's death finds either block: both hold all finished items.
  self.progress_line_->outcomes.store(bigger.offset, std::memory_order_release);
  if (self.block_) self.blocks_->put_back(self.block_);
  self.block_ = bigger;
  self.begin_ = to;
  self.cur_ = to + used;
  self.end_ = to + bigger.capacity;
}

void chunk_writer::note(wire_writer& base, const detail::shared_object& object) {
  worker_registry::instance().note(object);
  static_cast<chunk_writer&>(base).noted_ = true;
}

std::uint64_t chunk_writer::append_objects(detail::chunk_run& base) {
  auto& self = static_cast<chunk_writer&>(base);
  worker_registry::instance().append_noted(self);
  self.noted_ = false;
  // relaxed: `progress` releases it
  self.progress_line_->objects.store(1, std::memory_order_relaxed);
  return detail::item_with_objects;
}

void chunk_writer::write_exception(detail::chunk_run& base) {
  auto& self = static_cast<chunk_writer&>(base);
  if (std::exchange(self.noted_, false)) worker_registry::instance().forget_noted();
  encode_current_exception(self);
}

// The stores in these two are relaxed: the CAS to DONE releases them.
void chunk_writer::finish_without_room(int error) {
  slot_->kind.store(static_cast<std::uint16_t>(shm::outcome_kind::no_room),
                    std::memory_order_relaxed);
  slot_->length.store(static_cast<u64>(error), std::memory_order_relaxed);
  if (block_) blocks_->lend(std::exchange(block_, {}));
}

void chunk_writer::finish_chunk() {
  slot_->kind.store(static_cast<std::uint16_t>(shm::outcome_kind::items),
                    std::memory_order_relaxed);
  if (block_) blocks_->lend(std::exchange(block_, {}));
}

}  // namespace procpool::worker

namespace procpool::detail {

void chunk_run::end_run() {
  if (!in_run_) return;
  in_run_ = false;
  // Without values there is no run. Where memory has run out, half a value may be there.
  rewind(run_length_ == 0 ? 0 : sizeof(std::uint64_t) + std::size_t{run_length_} * run_stride_);
  if (run_length_ == 0) return;
  const std::uint64_t header = run_header(run_length_, run_stride_);
  std::memcpy(begin_, &header, sizeof header);
  align(8);
  complete_ = size();
}

}  // namespace procpool::detail
