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
constexpr std::size_t tries_per_acquire = 8;

}  // namespace

shm::block result_blocks::acquire(u64 bytes) {
  const u32 c = shm::block_allocator::class_of(bytes);
  if (c < handed_out_.size()) {
    // Usually the oldest block is returned first. A few are tried, since a result that the program
    // keeps for long must not hold up the blocks after it.
    std::deque<shm::block>& handed_out = handed_out_[c];
    for (std::size_t i = 0; i < std::min(tries_per_acquire, handed_out.size()); ++i) {
      const shm::block oldest = handed_out.front();
      if (was_returned(oldest)) {
        handed_out.pop_front();
        return oldest;
      }
      handed_out.pop_front();
      handed_out.push_back(oldest);
    }
  }
  return blocks_.allocate(bytes);
}

void result_blocks::hand_out(shm::block b) noexcept {
  try {
    view_->header(b.offset).in_use.store(1, std::memory_order_relaxed);  // DONE publishes it
    if (handed_out_.size() <= b.size_class) handed_out_.resize(std::size_t{b.size_class} + 1);
    handed_out_[b.size_class].push_back(b);
  } catch (const std::bad_alloc&) {
    // The outcome in the block is valid; only the block is not used again by this worker.
  }
}

bool result_blocks::trim() noexcept {
  if (!blocks_.is_trimming()) {
    blocks_.start_trim();
    for (u32 c = shm::block_allocator::class_of(shm::large_block); c < handed_out_.size(); ++c) {
      std::erase_if(handed_out_[c], [this](const shm::block& b) {
        const bool returned = was_returned(b);
        if (returned) blocks_.release(b);
        return returned;
      });
    }
  }
  if (blocks_.trim_some()) {
    trim_at_ = 0;
    return true;
  }
  trim_at_ = base::cycles() + pause_;
  return false;
}

void outcome_writer::grow(wire_writer& base, std::size_t need) {
  auto& self = static_cast<outcome_writer&>(base);
  const std::size_t used = self.size();
  shm::block bigger;
  std::byte* to = nullptr;
  try {
    bigger = self.blocks_->acquire(std::max(used + need, 2 * used));
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
  if (block_) blocks_->hand_out(std::exchange(block_, {}));
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
      self.blocks_->acquire(std::max<u64>({used + need, 2 * used, first_chunk_block}));
  std::byte* to = nullptr;
  try {
    to = self.blocks_->address(bigger);
  } catch (...) {
    self.blocks_->put_back(bigger);
    throw;
  }
  if (used != 0) std::memcpy(to, self.begin_, used);
  // If this process dies, the parent finds the old block or the new one: both hold all finished
  // items.
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

detail::outcome_kind chunk_writer::append_objects(detail::chunk_run& base) {
  auto& self = static_cast<chunk_writer&>(base);
  worker_registry::instance().append_noted(self);
  self.noted_ = false;
  // relaxed: `progress` releases it
  self.progress_line_->objects.store(1, std::memory_order_relaxed);
  return detail::outcome_kind::value_with_objects;
}

void chunk_writer::write_exception(detail::chunk_run& base) {
  auto& self = static_cast<chunk_writer&>(base);
  if (std::exchange(self.noted_, false)) worker_registry::instance().forget_noted();
  encode_current_exception(self);
}

// The stores in these two functions are relaxed: the CAS to DONE releases them.
void chunk_writer::finish_without_room(int error) {
  slot_->kind.store(static_cast<std::uint16_t>(shm::outcome_kind::no_room),
                    std::memory_order_relaxed);
  slot_->length.store(static_cast<u64>(error), std::memory_order_relaxed);
  if (block_) blocks_->hand_out(std::exchange(block_, {}));
}

void chunk_writer::finish_chunk() {
  slot_->kind.store(static_cast<std::uint16_t>(shm::outcome_kind::items),
                    std::memory_order_relaxed);
  if (block_) blocks_->hand_out(std::exchange(block_, {}));
}

}  // namespace procpool::worker
