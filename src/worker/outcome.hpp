// Where a worker writes outcomes: into the slot if they are small, else into a block of the
// worker's own partition. The parent gives such a block back by clearing its header; whoever dies
// between leaves the block to the sweep, which ends the partition as a whole.
#pragma once

#include <algorithm>
#include <deque>
#include <vector>

#include "base/cycle_clock.hpp"
#include "procpool/detail/task/thunks.hpp"
#include "shm/blocks.hpp"
#include "shm/region.hpp"

namespace procpool::worker {

// The worker's partition. One thread.
class result_blocks {
 public:
  result_blocks(const shm::region& r, shm::arena_view& view, shm::u64 partition)
      : view_(&view),
        blocks_(r.fd(), r.partition(partition), r.partition(partition + 1)),
        pause_(std::max<shm::u64>(1, r.header().cycles_per_us) * 1'000'000),
        tend_at_(base::cycles() + pause_) {}

  // Throws std::system_error when the partition or the machine is full.
  shm::block take(shm::u64 bytes);
  // Never published: free at once.
  void put_back(shm::block b) { blocks_.release(b); }
  // Published: the parent clears the header when it has read it.
  void lend(shm::block b) noexcept;
  // From this cycle on tend() is due, so that large blocks do not keep memory that nobody needs.
  shm::u64 tend_at() const { return tend_at_; }
  // Takes some milliseconds at most. True if there is more to do at once.
  bool tend() noexcept;
  // False once a task has closed the descriptor of the pool's memory.
  bool owns_file() const noexcept { return blocks_.owns_file(); }
  std::byte* address(shm::block b) { return view_->at(b.offset, b.capacity); }

 private:
  bool is_back(const shm::block& b) {
    // acquire: the reader is done with it before we write
    return view_->header(b.offset).in_use.load(std::memory_order_acquire) == 0;
  }

  shm::arena_view* view_;
  shm::block_allocator blocks_;
  std::vector<std::deque<shm::block>> lent_;  // by size class, the oldest first
  shm::u64 pause_;                            // cycles between two tend()
  shm::u64 tend_at_;
};

// Writes one outcome. Begins in the slot; the arguments there must not be needed any more.
class outcome_writer final : public detail::wire_writer {
 public:
  outcome_writer(shm::slot& s, result_blocks& blocks)
      : wire_writer(s.bytes, s.bytes + shm::inline_bytes, &grow, &note),
        slot_(&s),
        blocks_(&blocks) {}
  ~outcome_writer() {
    if (block_) blocks_->put_back(block_);
  }
  // Starts again, for the exception that came instead of a value.
  void restart() {
    cur_ = begin_;
    no_room_ = 0;
    if (noted_) forget_objects();
  }
  // Why it cannot grow: an errno value; 0 if it can.
  int no_room() const { return no_room_; }
  // Fills the slot's outcome fields; the state word is the caller's business. With a value whose
  // shared objects have to be listed it may throw as writing does.
  void finish(shm::outcome_kind kind);

 private:
  static void grow(wire_writer& self, std::size_t need);
  static void note(wire_writer& self, const detail::shared_object& object);
  // Out of the usual way.
  [[gnu::noinline]] shm::outcome_kind append_objects();
  [[gnu::noinline]] void forget_objects() noexcept;
  shm::slot* slot_;
  result_blocks* blocks_;
  shm::block block_;
  int no_room_ = 0;
  bool noted_ = false;  // the value names shared objects
};

// The outcomes of a chunk's items, one after the other, in a growing block.
class chunk_writer final : public detail::chunk_run {
 public:
  chunk_writer(shm::slot& s, result_blocks& blocks);
  ~chunk_writer() {
    if (block_) blocks_->put_back(block_);
  }
  void finish_chunk();
  // What is finished is delivered, and the rest has this errno value.
  void finish_without_room(int error);

 private:
  static void grow(wire_writer& self, std::size_t need);
  static void write_exception(detail::chunk_run& self);
  static void note(wire_writer& self, const detail::shared_object& object);
  static std::uint64_t append_objects(detail::chunk_run& self);
  shm::slot* slot_;
  shm::chunk_progress* progress_line_;
  result_blocks* blocks_;
  shm::block block_;
};

}  // namespace procpool::worker
