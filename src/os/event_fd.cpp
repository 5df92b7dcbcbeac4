#include "os/event_fd.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <utility>

#include "os/socket.hpp"

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

wake_socket::wake_socket() {
  socket_pair pair = make_socket_pair();
  reader_ = private_fd(std::move(pair.first));
  writer_ = private_fd(std::move(pair.second));
}

void wake_socket::signal() noexcept {
  // seq_cst, as below: what has changed is there before, and is looked at after the flag is cleared
  if (signalled_.exchange(true) || !is_ours()) return;
  const std::byte one{1};
  send_message(writer_.get(), {&one, 1}, {}, blocking::no);
}

void wake_socket::clear() noexcept {
  if (!is_ours()) return;
  std::byte some[8];
  while (receive_message(reader_.get(), some, blocking::no).size > 0) {
  }
  signalled_.store(false);
}

}  // namespace procpool::os
