// Anonymous shared memory files: no name in any file system, gone with the last process that has
// them. Growing allocates for real, so that no later write ends in SIGBUS. Any thread.
#pragma once

#include <cstdint>

#include "base/component_export.hpp"
#include "os/unique_fd.hpp"

namespace procpool::os {

// An empty file that may be sealed. `name` shows in /proc/<pid>/fd only. Throws std::system_error.
unique_fd create_memfd(const char* name);

// Makes the file at least `size` bytes and allocates the new part now. Looks at RLIMIT_FSIZE
// first: passing that limit would raise SIGXFSZ, which kills. Throws std::system_error (EFBIG,
// ENOSPC, ENOMEM); what was there before stays valid.
void grow_memfd(int fd, std::uint64_t size);

// Sets the size without allocating: what is not allocated later by allocate_memfd() must not be
// written. Throws std::system_error.
void set_file_size(int fd, std::uint64_t size);

// Nobody can take bytes away under a mapping from here on (it would be SIGBUS); growing stays
// possible. Throws std::system_error.
void forbid_shrink(int fd);
// The size is final, and so are the seals. Throws std::system_error.
void forbid_resize(int fd);

// Which file a descriptor is of; all zero when it is none.
struct fd_identity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const fd_identity&, const fd_identity&) = default;
};
PROCPOOL_COMPONENT_EXPORT fd_identity identify_fd(int fd) noexcept;

// Gives the pages of [offset, offset + size) back to the system; they read as zero afterwards and
// must be allocated again (allocate_memfd) before they are written.
bool punch_hole(int fd, std::uint64_t offset, std::uint64_t size) noexcept;
// Allocates [offset, offset + size), growing the file if need be: 0 or an errno value.
int allocate_memfd(int fd, std::uint64_t offset, std::uint64_t size) noexcept;

// Current size; 0 when fd is no file.
std::uint64_t file_size(int fd) noexcept;
// Bytes of memory that the file has; 0 when fd is no file, or where that is not known.
std::uint64_t allocated_bytes(int fd) noexcept;
// Whether some page of [offset, offset + size) was certainly never written. Moves the offset that
// read() and write() use.
bool has_unwritten_page(int fd, std::uint64_t offset, std::uint64_t size) noexcept;

}  // namespace procpool::os
