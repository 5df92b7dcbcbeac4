#include "os/socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "os/error.hpp"

namespace procpool::os {

socket_pair try_make_socket_pair() noexcept {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) return {};
  socket_pair pair{unique_fd(fds[0]), unique_fd(fds[1])};
  pair.first = above_stdio(std::move(pair.first));
  if (!pair.first) return {};
  pair.second = above_stdio(std::move(pair.second));
  if (!pair.second) return {};
  return pair;
}

socket_pair make_socket_pair() {
  socket_pair pair = try_make_socket_pair();
  if (!pair.first) throw_errno("cannot create a socket pair");
  return pair;
}

signed_stream make_signed_stream() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    throw_errno("cannot create a socket pair");
  }
  signed_stream s{unique_fd(fds[0]), unique_fd(fds[1])};
  const int on = 1;
  // Only the writer may block: O_NONBLOCK belongs to the end, not to the descriptor.
  if (::setsockopt(s.reader.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0 ||
      ::fcntl(s.reader.get(), F_SETFL, O_NONBLOCK) != 0) {
    throw_errno("cannot create a socket pair");
  }
  s.reader = above_stdio(std::move(s.reader));
  if (!s.reader) throw_errno("cannot create a socket pair");
  s.writer = above_stdio(std::move(s.writer));
  if (!s.writer) throw_errno("cannot create a socket pair");
  ::shutdown(s.reader.get(), SHUT_WR);
  return s;
}

signed_bytes read_signed(int reader, std::span<char> buffer) noexcept {
  iovec part{buffer.data(), buffer.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t n = 0;
  do {
    // One call never mixes the bytes of two writers: they have different credentials.
    n = ::recvmsg(reader, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n <= 0) return {};
  signed_bytes got{static_cast<std::size_t>(n), 0};
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_level == SOL_SOCKET &&
      header->cmsg_type == SCM_CREDENTIALS) {
    ucred writer{};
    std::memcpy(&writer, CMSG_DATA(header), sizeof(writer));
    got.pid = writer.pid;
  }
  return got;
}

int send_message(int socket, std::span<const std::byte> bytes, std::span<const int> fds,
                 blocking mode) noexcept {
  if (fds.size() > max_message_fds) return -EMSGSIZE;
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * max_message_fds)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  }
  const int flags = MSG_NOSIGNAL | (mode == blocking::no ? MSG_DONTWAIT : 0);
  for (;;) {
    if (::sendmsg(socket, &message, flags) >= 0) return 0;
    if (errno != EINTR) return -errno;
  }
}

received_message receive_message(int socket, std::span<std::byte> buffer, blocking mode) noexcept {
  iovec part{buffer.data(), buffer.size()};
  // Room for one descriptor more than allowed: a peer that sends too many is noticed.
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * (max_message_fds + 1))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const int flags = MSG_CMSG_CLOEXEC | (mode == blocking::no ? MSG_DONTWAIT : 0);

  received_message result;
  do {
    result.size = ::recvmsg(socket, &message, flags);
  } while (result.size < 0 && errno == EINTR);
  if (result.size < 0) {
    result.size = -errno;
    return result;
  }

  result.fds_lost = (message.msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      unique_fd owned = above_stdio(unique_fd(fd));
      if (!owned || result.fd_count == max_message_fds) {
        result.fds_lost = true;
      } else {
        result.fds[result.fd_count++] = std::move(owned);
      }
    }
  }
  const bool cut_off = (message.msg_flags & MSG_TRUNC) != 0;
  if (cut_off) result.size = -EMSGSIZE;
  if (result.fds_lost || cut_off) {
    for (unique_fd& fd : result.fds) fd.reset();
    result.fd_count = 0;
  }
  return result;
}

}  // namespace procpool::os
