// Anonymous shared memory files, which have no name in any file system and are gone with the last
// process that uses them: wraps memfd_create, fallocate, ftruncate, fstat, lseek and fcntl
// (F_ADD_SEALS). Growing allocates the memory at once, so that no later write raises SIGBUS. Any
// thread.
#pragma once

#include <cstdint>

#include "base/component_export.hpp"
#include "os/unique_fd.hpp"

namespace procpool::os {

// An empty file that may be sealed. `name` shows in /proc/<pid>/fd only. Throws std::system_error.
unique_fd create_memfd(const char* name);

// Makes the file at least `size` bytes and allocates the new part now. Looks at RLIMIT_FSIZE
// first: passing that limit would raise SIGXFSZ, which kills. Throws std::system_error (EFBIG,
// ENOSPC, ENOMEM), and the file is as before then.
void grow_memfd(int fd, std::uint64_t size);

// Sets the size without allocating: what is not allocated later by allocate_memfd() must not be
// written. Throws std::system_error.
void set_file_size(int fd, std::uint64_t size);

// Seals the file against shrinking, which would raise SIGBUS in processes that map it; growing
// stays possible. Throws std::system_error.
void forbid_shrink(int fd);
// Seals the size and the seals themselves. Throws std::system_error.
void forbid_resize(int fd);

// Which file a descriptor refers to; all zero for a closed descriptor.
struct fd_identity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const fd_identity&, const fd_identity&) = default;
};
PROCPOOL_COMPONENT_EXPORT fd_identity identify_fd(int fd) noexcept;

// Frees the pages of [offset, offset + size); they read as zero afterwards and
// must be allocated again (allocate_memfd) before they are written.
bool punch_hole(int fd, std::uint64_t offset, std::uint64_t size) noexcept;
// Allocates [offset, offset + size), growing the file if need be: 0 or an errno value.
int allocate_memfd(int fd, std::uint64_t offset, std::uint64_t size) noexcept;

// The size in bytes; 0 if `fd` is no file.
std::uint64_t file_size(int fd) noexcept;
// The memory that is allocated for the file, in bytes; 0 if `fd` is no file, or if it is unknown.
std::uint64_t allocated_bytes(int fd) noexcept;
// Whether some page of [offset, offset + size) was certainly never written. Moves the offset that
// read() and write() use.
bool has_unwritten_page(int fd, std::uint64_t offset, std::uint64_t size) noexcept;

}  // namespace procpool::os
