#include "os/memfd.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "os/error.hpp"
#include "os/limits.hpp"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3; older headers lack it
#endif

namespace procpool::os {
namespace {

void add_seals(int fd, int seals) {
  if (::fcntl(fd, F_ADD_SEALS, seals) != 0) throw_errno("cannot seal shared memory");
}

}  // namespace

unique_fd create_memfd(const char* name) {
  constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  unique_fd fd(::memfd_create(name, flags | MFD_NOEXEC_SEAL));
  // Kernels before 6.3 do not know the flag, and filters of system calls may refuse it.
  if (!fd) fd.reset(::memfd_create(name, flags));
  fd = above_stdio(std::move(fd));
  if (!fd) throw_errno("cannot create shared memory");
  return fd;
}

int allocate_memfd(int fd, std::uint64_t offset, std::uint64_t size) noexcept {
  if (offset + size > file_size_limit()) return EFBIG;
  // In pieces: a signal interrupts fallocate and undoes what that one call did, so that one huge
  // call might never end in a program with a fast interval timer.
  constexpr std::uint64_t piece = std::uint64_t{16} << 20;
  for (const std::uint64_t end = offset + size; offset < end;) {
    const std::uint64_t length = std::min(piece, end - offset);
    if (::fallocate(fd, 0, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0) {
      offset += length;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

void grow_memfd(int fd, std::uint64_t size) {
  const std::uint64_t old_size = file_size(fd);
  if (size <= old_size) return;
  if (int error = allocate_memfd(fd, old_size, size - old_size); error != 0) {
    throw_error(error, "cannot allocate shared memory");
  }
}

void set_file_size(int fd, std::uint64_t size) {
  if (size > file_size_limit()) throw_error(EFBIG, "cannot size shared memory");
  while (::ftruncate(fd, static_cast<off_t>(size)) != 0) {
    if (errno != EINTR) throw_errno("cannot size shared memory");
  }
}

void forbid_shrink(int fd) { add_seals(fd, F_SEAL_SHRINK); }

void forbid_resize(int fd) { add_seals(fd, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL); }

bool punch_hole(int fd, std::uint64_t offset, std::uint64_t size) noexcept {
  int result = 0;
  do {
    result = ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                         static_cast<off_t>(size));
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

fd_identity identify_fd(int fd) noexcept {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

std::uint64_t file_size(int fd) noexcept {
  struct stat status{};
  return ::fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

std::uint64_t allocated_bytes(int fd) noexcept {
  constexpr std::uint64_t unit = 512;  // of st_blocks, whatever the file system says
  struct stat status{};
  return ::fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_blocks) * unit : 0;
}

bool has_unwritten_page(int fd, std::uint64_t offset, std::uint64_t size) noexcept {
  const ::off_t hole = ::lseek(fd, static_cast<::off_t>(offset), SEEK_HOLE);
  if (hole < 0) return errno == ENXIO;  // the range begins after the end of the file
  return static_cast<std::uint64_t>(hole) < offset + size;
}

}  // namespace procpool::os
