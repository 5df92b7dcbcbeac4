#include "os/mapping.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include "os/error.hpp"

namespace procpool::os {

mapping mapping::try_shared(int fd, std::uint64_t offset, std::size_t size, access mode) noexcept {
  const int protection = mode == access::read_only ? PROT_READ : PROT_READ | PROT_WRITE;
  void* data = ::mmap(nullptr, size, protection, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (data == MAP_FAILED) return {};
  return {data, size};
}

mapping mapping::shared(int fd, std::uint64_t offset, std::size_t size, access mode) {
  mapping result = try_shared(fd, offset, size, mode);
  if (!result && errno == EAGAIN) {
    // The program has called mlockall(MCL_FUTURE) and may not lock so much.
    throw_errno(
        "cannot map shared memory, which mlockall() wants to lock: raise RLIMIT_MEMLOCK (ulimit "
        "-l)");
  }
  if (!result) throw_errno("cannot map shared memory");
  return result;
}

mapping mapping::try_anonymous(std::size_t size) noexcept {
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return {};
  return {data, size};
}

void mapping::reset() noexcept {
  if (data_ != nullptr) ::munmap(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

bool mapping::exclude_from_fork() const noexcept {
  return ::madvise(data_, size_, MADV_DONTFORK) == 0;
}

bool mapping::exclude_from_core() const noexcept {
  return ::madvise(data_, size_, MADV_DONTDUMP) == 0;
}

std::size_t page_size() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

}  // namespace procpool::os
