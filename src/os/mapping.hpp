// Owner of one range of memory: wraps mmap, munmap and madvise. Movable; one object is used by one
// thread at a time, the bytes by any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace procpool::os {

enum class access { read_only, read_write };

class mapping {
 public:
  mapping() noexcept = default;
  mapping(mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  mapping& operator=(mapping&& other) noexcept {
    if (this != &other) {
      reset();
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }
  ~mapping() { reset(); }

  // MAP_SHARED of [offset, offset + size) of `fd`; offset is a multiple of the page size.
  // Throws std::system_error.
  static mapping shared(int fd, std::uint64_t offset, std::size_t size,
                        access mode = access::read_write);
  // As shared(), for code that may not throw: empty with errno set.
  static mapping try_shared(int fd, std::uint64_t offset, std::size_t size,
                            access mode = access::read_write) noexcept;

  // Zeroed memory of this process alone. Empty with errno set on failure.
  static mapping try_anonymous(std::size_t size) noexcept;

  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  explicit operator bool() const noexcept { return data_ != nullptr; }
  void reset() noexcept;
  // Leaves the range mapped for the rest of the process.
  std::byte* release() noexcept {
    size_ = 0;
    return std::exchange(data_, nullptr);
  }

  // MADV_DONTFORK: a process that a task forks, and that outlives the task, cannot write into slots
  // that belong to other tasks by then.
  bool exclude_from_fork() const noexcept;
  // MADV_DONTDUMP: a core dump of each worker would contain the whole region.
  bool exclude_from_core() const noexcept;

 private:
  mapping(void* data, std::size_t size) noexcept
      : data_(static_cast<std::byte*>(data)), size_(size) {}

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

std::size_t page_size() noexcept;

}  // namespace procpool::os
