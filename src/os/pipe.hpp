// A pipe: one message of a few bytes, or none at all and only the end of file counts. noexcept, no
// allocation.
#pragma once

#include <cstddef>

#include "os/unique_fd.hpp"

namespace procpool::os {

struct pipe_ends {
  unique_fd reader;
  unique_fd writer;
};

// Both close-on-exec, blocking, 3 or above; empty with errno set on failure.
pipe_ends try_make_pipe() noexcept;

// All of it, in one piece (size at most PIPE_BUF): false when nobody reads. The caller has SIGPIPE
// blocked or ignored.
bool write_pipe(int fd, const void* bytes, std::size_t size) noexcept;
// Exactly `size` bytes: false at end of file.
bool read_pipe(int fd, void* bytes, std::size_t size) noexcept;

}  // namespace procpool::os
