// Where a worker writes outcomes: into the slot if they are small, otherwise into a block of the
// worker's own partition.
//
//   acquire() -> write -> hand_out(): the slot names the block, DONE publishes both
//                      -> the parent reads the value and clears `in_use` of the block's header
//                      -> acquire() finds that, and uses the block again
//
// A block that was acquired and not handed out is put_back(). If the worker dies, its whole
// partition is freed once the parent has read what it needs of it, so no block is lost.
#pragma once

#include <algorithm>
#include <deque>
#include <vector>

#include "base/cycle_clock.hpp"
#include "procpool/detail/task/chunk_outcomes.hpp"
#include "shm/blocks.hpp"
#include "shm/region.hpp"

namespace procpool::worker {

// The blocks of the worker's partition. One thread.
class result_blocks {
 public:
  result_blocks(const shm::region& r, shm::arena_view& view, shm::u64 partition)
      : view_(&view),
        blocks_(r.fd(), r.partition(partition), r.partition(partition + 1)),
        pause_(std::max<shm::u64>(1, r.header().cycles_per_us) * 1'000'000),
        trim_at_(base::cycles() + pause_) {}

  // A block for at least so many bytes. Throws std::system_error when the partition is full or the
  // machine has no memory.
  shm::block acquire(shm::u64 bytes);
  // Of a block that was not handed out: it is free at once.
  void put_back(shm::block b) { blocks_.release(b); }
  // Of a block that is about to be published: the parent clears its header when it has read it.
  void hand_out(shm::block b) noexcept;
  // The cycle from which on trim() is due, so that large free blocks do not keep their memory.
  shm::u64 trim_at() const { return trim_at_; }
  // Frees memory of large blocks, for some milliseconds at most. Returns whether there is more to
  // do at once.
  bool trim() noexcept;
  // False once a task has closed the descriptor of the pool's memory.
  bool owns_file() const noexcept { return blocks_.owns_file(); }
  std::byte* address(shm::block b) { return view_->at(b.offset, b.capacity); }

 private:
  bool was_returned(const shm::block& b) {
    // acquire: the parent has read the block before this worker writes to it
    return view_->header(b.offset).in_use.load(std::memory_order_acquire) == 0;
  }

  shm::arena_view* view_;
  shm::block_allocator blocks_;
  std::vector<std::deque<shm::block>> handed_out_;  // by size class, the oldest first
  shm::u64 pause_;                                  // cycles between two trim()
  shm::u64 trim_at_;
};

// Writes the outcome of one task. It begins in the slot, over the arguments, which must not be
// needed any more.
class outcome_writer final : public detail::wire_writer {
 public:
  outcome_writer(shm::slot& s, result_blocks& blocks)
      : wire_writer(s.bytes, s.bytes + shm::inline_bytes, &grow, &note),
        slot_(&s),
        blocks_(&blocks) {}
  ~outcome_writer() {
    if (block_) blocks_->put_back(block_);
  }
  // Discards what was written, for an exception that is thrown while a value is written.
  void restart() {
    cur_ = begin_;
    no_room_ = 0;
    if (noted_) forget_objects();
  }
  // Why the writer could not grow: an errno value; 0 if it could.
  int no_room() const { return no_room_; }
  // Fills the outcome fields of the slot; the caller changes the state word. May throw, as writing
  // does, if the value names shared objects, which are listed after it.
  void finish(shm::outcome_kind kind);

 private:
  static void grow(wire_writer& self, std::size_t need);
  static void note(wire_writer& self, const detail::shared_object& object);
  // Rare, so kept out of the path of tasks.
  [[gnu::noinline]] shm::outcome_kind append_objects();
  [[gnu::noinline]] void forget_objects() noexcept;
  shm::slot* slot_;
  result_blocks* blocks_;
  shm::block block_;
  int no_room_ = 0;
  bool noted_ = false;  // the value names shared objects
};

// Writes the outcomes of a chunk's items, one after the other, into a growing block.
class chunk_writer final : public detail::chunk_run {
 public:
  chunk_writer(shm::slot& s, result_blocks& blocks);
  ~chunk_writer() {
    if (block_) blocks_->put_back(block_);
  }
  void finish_chunk();
  // The finished items are delivered, and the other ones fail with this errno value.
  void finish_without_room(int error);

 private:
  static void grow(wire_writer& self, std::size_t need);
  static void write_exception(detail::chunk_run& self);
  static void note(wire_writer& self, const detail::shared_object& object);
  static detail::outcome_kind append_objects(detail::chunk_run& self);
  shm::slot* slot_;
  shm::chunk_progress* progress_line_;
  result_blocks* blocks_;
  shm::block block_;
};

}  // namespace procpool::worker
