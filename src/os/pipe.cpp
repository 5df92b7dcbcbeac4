#include "os/pipe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace procpool::os {

pipe_ends try_make_pipe() noexcept {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return {};
  pipe_ends ends{unique_fd(fds[0]), unique_fd(fds[1])};
  ends.reader = above_stdio(std::move(ends.reader));
  if (!ends.reader) return {};
  ends.writer = above_stdio(std::move(ends.writer));
  if (!ends.writer) return {};
  return ends;
}

bool write_pipe(int fd, const void* bytes, std::size_t size) noexcept {
  for (;;) {
    const ssize_t written = ::write(fd, bytes, size);
    if (written >= 0) return static_cast<std::size_t>(written) == size;
    if (errno != EINTR) return false;
  }
}

bool read_pipe(int fd, void* bytes, std::size_t size) noexcept {
  auto* to = static_cast<std::byte*>(bytes);
  while (size > 0) {
    const ssize_t got = ::read(fd, to, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace procpool::os
