// Blocks: the memory of large arguments and results, inside one partition of the arena.
//
// The process that owns the partition uses block_allocator: the parent for arguments, each worker
// for its own results. Its lists are in private memory, so that a process that dies cannot leave
// them half-written. arena_view maps all partitions for reading and writing in one process.
//
// A block never crosses a 64 MiB window unless it is larger than one; then it begins at a window.
// The file is really allocated before a block is returned: writing to it never raises SIGBUS.
//
// The first access to memory takes longer than copying it, so free blocks stay resident, large ones
// only for a while: start_trim(), called about once a second, returns the pages of the blocks that
// were not needed since the last call. A process that has run out of memory returns all at once.
#pragma once

#include <map>
#include <vector>

#include "base/guarded.hpp"
#include "os/mapping.hpp"
#include "os/memfd.hpp"
#include "procpool/errors.hpp"
#include "shm/layout.hpp"

namespace procpool::shm {

// Thrown when the program has closed the region's descriptor: its number may be another file's now.
class disowned_file : public error {
 public:
  explicit disowned_file(int fd);
};

// The region's file. Its identity is checked before the descriptor is used.
class checked_file {
 public:
  checked_file() = default;
  explicit checked_file(int fd) : fd_(fd), id_(os::identify_fd(fd)) {}
  int get() const {  // throws disowned_file
    if (!is_ours()) fail();
    return fd_;
  }
  bool is_ours() const noexcept { return os::identify_fd(fd_) == id_; }

 private:
  [[noreturn]] void fail() const;
  int fd_ = -1;
  os::fd_identity id_;
};

struct block {
  u64 offset = 0;    // of the payload in the file; the header precedes it
  u64 capacity = 0;  // bytes of payload
  u32 size_class = 0;
  explicit operator bool() const noexcept { return offset != 0; }
};

// Not thread-safe: the parent calls it under its lock, a worker has one thread.
class block_allocator {
 public:
  block_allocator() = default;
  block_allocator(int fd, u64 begin, u64 end)
      : file_(fd), next_(begin), backed_(begin), end_(end) {}

  // False once other code has closed the descriptor of the file.
  bool owns_file() const noexcept { return file_.is_ours(); }

  // At least `bytes` of payload, in a resident block if there is one. Throws std::system_error
  // (EFBIG, ENOSPC, ENOMEM) with advice; no block is lost then.
  block allocate(u64 bytes);
  // The block keeps its memory for the next one of its size, unless much is kept already.
  void release(block b) noexcept;

  // Chooses the large free blocks that were not needed since the last call.
  void start_trim() noexcept;
  // Punches some of them, within a few milliseconds. False once none is left.
  bool trim_some() noexcept;
  // Punches all large blocks that are free, however long that takes.
  void trim_all() noexcept;
  bool is_trimming() const { return !trimming_.empty(); }
  // Whether there are large blocks, free or in use, to trim now or later.
  bool needs_trim() const {
    return large_in_use_ != 0 || kept_ != 0 || kept_huge_ != 0 || is_trimming();
  }

  static u32 class_of(u64 bytes);
  static u64 capacity_of(u32 size_class);

 private:
  struct free_list {
    std::vector<u64> resident;  // offsets; the last one was released last
    std::vector<u64> punched;   // offsets; only the header's page is resident
    std::size_t blocks = 0;  // of this class, and the capacity of both lists: release() cannot fail
    std::size_t unused = 0;  // fewest resident blocks since start_trim()
  };
  // A block that counts as resident until all of its pages are punched.
  struct trimming_block {
    block b;
    u64 punched_bytes = 0;
  };
  block allocate_of(u32 size_class);
  bool take_trimming(block& b);
  u64& kept_of(const block& b);
  bool may_keep(const block& b);
  void back(u64 begin, u64 end);
  void refill(const block& b);
  void punch(u64 offset, u64 bytes) noexcept;

  checked_file file_;
  u64 next_ = 0;    // end of the blocks: unused from here on
  u64 backed_ = 0;  // allocated in the file up to here
  u64 end_ = 0;
  u64 large_in_use_ = 0;
  u64 kept_ = 0;                 // bytes of free, resident large blocks up to a window in size
  u64 kept_huge_ = 0;            // bytes of those larger than a window
  std::vector<free_list> free_;  // by size class
  std::vector<trimming_block> trimming_;
};

inline constexpr u64 large_block = u64{64} << 10U;  // blocks of at least this size are trimmed

// This process's mappings of a range of the file. A window is mapped on first use and stays mapped.
// Thread-safe.
class arena_view {
 public:
  arena_view(int fd, u64 begin) : file_(fd), begin_(begin) {}

  // Address of [offset, offset + bytes). The caller has checked that the range lies in a partition.
  // Throws std::system_error when nothing can be mapped (ulimit -v).
  std::byte* at(u64 offset, u64 bytes);
  block_header& header(u64 offset) {
    return *reinterpret_cast<block_header*>(at(offset - sizeof(block_header), 1));
  }
  // False if the range cannot contain a value: reading it would only create missing pages. Checks
  // long ranges only.
  bool may_be_value(u64 offset, u64 bytes) const noexcept;
  // Upper limit of the bytes that all values in the file have together.
  u64 most_bytes() const noexcept;

 private:
  checked_file file_;
  u64 begin_;
  base::mutex mutex_;
  std::map<u64, std::vector<os::mapping>> windows_
      GUARDED_BY(mutex_);  // by begin; larger mappings later in the vector
  u64 last_begin_ GUARDED_BY(mutex_) = 0, last_size_ GUARDED_BY(mutex_) = 0;
  std::byte* last_data_ GUARDED_BY(mutex_) = nullptr;
};

}  // namespace procpool::shm
