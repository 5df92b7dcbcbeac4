#include "os/unique_fd.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace procpool::os {

void close_fd(int fd) noexcept {
  const int saved = errno;
  ::close(fd);
  errno = saved;
}

unique_fd above_stdio(unique_fd fd) noexcept {
  if (!fd || fd.get() > STDERR_FILENO) return fd;
  return duplicate_fd(fd.get());
}

unique_fd duplicate_fd(int fd) noexcept {
  return unique_fd(::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

int open_fd_count() noexcept {
  DIR* dir = ::opendir("/proc/self/fd");
  if (dir == nullptr) return -1;
  int count = 0;
  while (const dirent* entry = ::readdir(dir)) count += entry->d_name[0] != '.';
  ::closedir(dir);
  return count - 1;  // without the descriptor of `dir`
}

}  // namespace procpool::os
