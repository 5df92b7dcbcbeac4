// Blocks: the memory of large arguments and results, inside one partition of the arena.
//
// block_allocator is used by the process that owns the partition: the parent for arguments, each
// worker for its own results. Its lists are in private memory, so that a process that dies cannot
// leave them half-written. arena_view maps all partitions for reading and writing in one process.
//
// A block never crosses a 64 MiB window unless it is larger than one; then it begins at a window.
// The file is allocated for real before a block is handed out: writing to it never raises SIGBUS.
//
// The first touch of memory takes longer than copying it, so free blocks stay warm, and large ones
// only for a while: start_trim(), once a second or so, gives back the pages of as many as nobody
// has needed since the last time. Who has run out of memory gives them back at once.
#pragma once

#include <map>
#include <vector>

#include "base/guarded.hpp"
#include "os/mapping.hpp"
#include "os/memfd.hpp"
#include "procpool/errors.hpp"
#include "shm/layout.hpp"

namespace procpool::shm {

// Somebody has closed the region's descriptor: the file that has its number now is not ours.
class disowned_file : public error {
 public:
  explicit disowned_file(int fd);
};

// The region's file, which is looked at before it is written to by descriptor.
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
  u64 offset = 0;    // of the payload in the file; the header lies in front of it
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

  // At least `bytes` of payload, resident if there is such a block. Throws std::system_error
  // (EFBIG, ENOSPC, ENOMEM) with what to do about it; no block is lost then.
  block allocate(u64 bytes);
  // Keeps its memory for the next one of its size, unless much is kept already.
  void release(block b) noexcept;

  // Chooses the large free blocks that were not needed since the last call.
  void start_trim() noexcept;
  // Punches some of them, in some milliseconds. False once none is left.
  bool trim_some() noexcept;
  // Punches all large blocks that are free now, however long that takes.
  void trim_all() noexcept;
  bool is_trimming() const { return !trimming_.empty(); }
  // Whether there are large blocks, free or in use: something to trim now or later.
  bool needs_trim() const {
    return large_in_use_ != 0 || kept_ != 0 || kept_huge_ != 0 || is_trimming();
  }

  static u32 class_of(u64 bytes);
  static u64 capacity_of(u32 size_class);

 private:
  struct free_list {
    std::vector<u64> resident;  // offsets; the one released last on top
    std::vector<u64> punched;   // only the page of the header is there
    std::size_t blocks = 0;  // of this class: so much room the lists have, so release() cannot fail
    std::size_t unused = 0;  // fewest resident ones since start_trim()
  };
  // Counts as resident until all of its pages are punched.
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
  u64 next_ = 0;    // never used from here on
  u64 backed_ = 0;  // allocated in the file up to here
  u64 end_ = 0;
  u64 large_in_use_ = 0;
  u64 kept_ = 0;                 // bytes of large blocks that are free and resident
  u64 kept_huge_ = 0;            // of those that are larger than a window
  std::vector<free_list> free_;  // by size class
  std::vector<trimming_block> trimming_;
};

inline constexpr u64 large_block = u64{64} << 10U;  // from this size on blocks are trimmed

// Where a range of the file is mapped in this process. Windows are mapped when first asked for and
// stay. Thread-safe.
class arena_view {
 public:
  arena_view(int fd, u64 begin) : file_(fd), begin_(begin) {}

  // Address of [offset, offset + bytes). The caller has checked that it lies in a partition.
  // Throws std::system_error when nothing can be mapped any more (ulimit -v).
  std::byte* at(u64 offset, u64 bytes);
  block_header& header(u64 offset) {
    return *reinterpret_cast<block_header*>(at(offset - sizeof(block_header), 1));
  }
  // False if no value can lie there: reading it would only make pages that are not there. Looks at
  // long ranges only.
  bool may_be_value(u64 offset, u64 bytes) const noexcept;
  // What all that lies in the file can have together, at most.
  u64 most_bytes() const noexcept;

 private:
  checked_file file_;
  u64 begin_;
  base::mutex mutex_;
  std::map<u64, std::vector<os::mapping>> windows_
      GUARDED_BY(mutex_);  // by begin; larger ones come later
  u64 last_begin_ GUARDED_BY(mutex_) = 0, last_size_ GUARDED_BY(mutex_) = 0;
  std::byte* last_data_ GUARDED_BY(mutex_) = nullptr;
};

}  // namespace procpool::shm
