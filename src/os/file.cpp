#include "os/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>

namespace procpool::os {

unique_fd open_file(const char* path, bool writable) noexcept {
  const int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  int fd = -1;
  do {
    fd = ::open(path, flags);
  } while (fd < 0 && errno == EINTR);
  return above_stdio(unique_fd(fd));
}

unique_fd open_working_folder() noexcept {
  return above_stdio(unique_fd(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)));
}

bool enter_folder(int fd) noexcept { return ::fchdir(fd) == 0; }

bool is_open(int fd) noexcept { return ::fcntl(fd, F_GETFD) >= 0; }

file_status status_of(int fd) noexcept {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return {};
  return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
          S_ISREG(status.st_mode)};
}

std::optional<std::string> read_whole_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace procpool::os
