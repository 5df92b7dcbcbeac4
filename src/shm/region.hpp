// One process's mapping of the region: the fixed part (header, control, worker blocks, ring, slots)
// at one address for as long as the object lives. arena_view maps the arena. The class has
// accessors only; state_word.hpp and layout.hpp explain which process may access what, and when.
#pragma once

#include "os/mapping.hpp"
#include "os/private_fds.hpp"
#include "shm/layout.hpp"

namespace procpool::shm {

class region {
 public:
  // Parent: creates a region. Throws std::system_error.
  static region create(u32 workers);
  // Worker: maps the parent's region. Throws procpool::error if it is of another build.
  static region attach(int fd);

  int fd() const noexcept { return fd_; }
  // In the parent: false once the program has closed the descriptor, which it did not open.
  bool owns_file() const noexcept { return owned_.is_ours(); }
  region_header& header() const noexcept { return *header_; }
  control_block& control() const noexcept { return *control_; }
  worker_block& worker(u32 seat) const noexcept { return worker_blocks_[seat]; }
  slot& at(u32 index) const noexcept { return slots_[index]; }
  std::atomic<u64>& hint(u64 position) const noexcept {
    return ring_[position & (ring_entries - 1)];
  }
  u32 workers() const noexcept { return workers_; }
  // File offset of the beginning of partition n of the arena.
  u64 partition(u64 n) const noexcept { return arena_offset_ + n * stride_; }
  u64 partition_of(u64 offset) const noexcept { return (offset - arena_offset_) / stride_; }
  u64 arena_offset() const noexcept { return arena_offset_; }
  u64 stride() const noexcept { return stride_; }
  // Parent: how many partitions the file may have.
  u64 partitions() const noexcept { return partitions_; }

  // Parent: makes slots below `count` usable. Throws std::system_error when memory is exhausted.
  void allocate_slots(u32 count);
  u32 allocated_slots() const noexcept { return allocated_slots_; }

 private:
  void bind(const region_plan& plan);

  os::private_fd owned_;
  int fd_ = -1;
  os::mapping fixed_;
  // Copies in private memory: no value in the region decides where this process reads.
  region_header* header_ = nullptr;
  control_block* control_ = nullptr;
  worker_block* worker_blocks_ = nullptr;
  std::atomic<u64>* ring_ = nullptr;
  slot* slots_ = nullptr;
  u32 workers_ = 0;
  u32 allocated_slots_ = 0;
  u64 arena_offset_ = 0;
  u64 stride_ = 0;
  u64 partitions_ = 0;
};

}  // namespace procpool::shm
