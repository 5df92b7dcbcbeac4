// A pipe for one message of a few bytes, or for its end of file alone: wraps pipe2, read and write.
// noexcept, no allocation.
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

// Writes all bytes at once (at most PIPE_BUF); false if there is no reader. The caller has SIGPIPE
// blocked or ignored.
bool write_pipe(int fd, const void* bytes, std::size_t size) noexcept;
// Reads exactly `size` bytes; false at end of file.
bool read_pipe(int fd, void* bytes, std::size_t size) noexcept;

}  // namespace procpool::os
