#include "os/event_fd.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace procpool::os {

private_fd make_event_fd() {
  unique_fd fd = above_stdio(unique_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
  if (!fd) throw std::system_error(errno, std::generic_category(), "procpool: eventfd");
  return private_fd(std::move(fd));
}

void signal_event_fd(int fd) noexcept {
  const std::uint64_t one = 1;
  // Fails only when the count is at its maximum, and then it is signalled.
  [[maybe_unused]] const auto written = write(fd, &one, sizeof one);
}

void clear_event_fd(int fd) noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = read(fd, &count, sizeof count);
}

}  // namespace procpool::os
