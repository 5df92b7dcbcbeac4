// Blocks: the memory of large arguments and results, inside one partition of the arena.
//
// block_allocator belongs to whoever owns the partition (the parent for arguments, each worker for
// its own results) and keeps its books in private memory, so a process that dies cannot leave them
// half-written for others. arena_view is each process's window onto all partitions.
//
// A block never crosses a 64 MiB window unless it is larger than one; then it begins at a window.
// The file is allocated for real before a block is handed out: writing to it never raises SIGBUS.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "os/mapping.hpp"
#include "os/memfd.hpp"
#include "procpool/errors.hpp"
#include "shm/layout.hpp"

namespace procpool::shm {

// Somebody has closed the region's descriptor: the file that has its number now is not ours.
class disowned_file : public error {
 public:
  using error::error;
};

// The region's file, which is looked at before it is written to by descriptor.
class checked_file {
 public:
  checked_file() = default;
  explicit checked_file(int fd) : fd_(fd), id_(os::identify_fd(fd)) {}
  int get() const {  // throws disowned_file
    if (os::identify_fd(fd_) != id_) fail();
    return fd_;
  }

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

  // At least `bytes` of payload, warm if there is any. Throws std::system_error (EFBIG, ENOSPC,
  // ENOMEM) with what to do about it; nothing changes then.
  block allocate(u64 bytes);
  // Keeps its memory for the next one of its size, unless much is kept already.
  void release(block b) noexcept;
  // Allocates again the pages of a block whose reader may have given them back.
  void refill(const block& b);

  static u32 class_of(u64 bytes);
  static u64 capacity_of(u32 size_class);

 private:
  struct free_list {
    std::vector<u64> warm;   // offsets; the one released last on top
    std::vector<u64> cold;   // without pages but for the header's
    std::size_t blocks = 0;  // of this class: so much room the lists have, so release() cannot fail
  };
  void back(u64 begin, u64 end);

  checked_file file_;
  u64 next_ = 0;    // never used from here on
  u64 backed_ = 0;  // allocated in the file up to here
  u64 end_ = 0;
  u64 kept_ = 0;                 // bytes of large blocks that are free and warm
  std::vector<free_list> free_;  // by size class
};

// Blocks larger than this give their pages back as soon as they have been read: the reader does it,
// and the owner allocates them again.
inline constexpr u64 most_kept_block = window_bytes;

// Where a range of the file is mapped in this process. Windows are mapped when first asked for and
// stay. Thread-safe.
class arena_view {
 public:
  arena_view(int fd, u64 begin) : file_(fd), begin_(begin) {}

  // Address of [offset, offset + bytes). The caller has checked that it lies in a partition.
  // Throws std::system_error when nothing can be mapped any more (ulimit -v).
  std::byte* at(u64 offset, u64 bytes);
  // Throws disowned_file.
  void give_pages_back(u64 offset, u64 bytes) { os::punch_hole(file_.get(), offset, bytes); }
  block_header& header(u64 offset) {
    return *reinterpret_cast<block_header*>(at(offset - sizeof(block_header), 1));
  }

 private:
  checked_file file_;
  u64 begin_;
  std::mutex mutex_;
  std::map<u64, std::vector<os::mapping>> windows_;  // by begin; larger ones come later
  u64 last_begin_ = 0, last_size_ = 0;
  std::byte* last_data_ = nullptr;
};

}  // namespace procpool::shm
