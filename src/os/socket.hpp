// Messages between processes: wraps socketpair, sendmsg and recvmsg for SOCK_SEQPACKET, which keeps
// message borders, reports the end of the peer, and carries descriptors (SCM_RIGHTS). The fork
// server uses the functions: they are noexcept, do not allocate, and return -errno on failure,
// unless their comment says that they throw.
#pragma once

#include <cstddef>
#include <span>

#include "os/unique_fd.hpp"

namespace procpool::os {

inline constexpr std::size_t max_message_fds = 8;

struct socket_pair {
  unique_fd first;
  unique_fd second;
};

// Both ends close-on-exec, blocking, 3 or above. Throws std::system_error.
socket_pair make_socket_pair();
// As make_socket_pair(), for code that may not throw: empty with errno set.
socket_pair try_make_socket_pair() noexcept;

enum class blocking { no, yes };

// Sends one message whole: 0 or -errno. -EAGAIN when the peer's queue is full and `mode` is no.
// Never raises SIGPIPE: a dead peer is -EPIPE.
int send_message(int socket, std::span<const std::byte> bytes, std::span<const int> fds,
                 blocking mode) noexcept;

struct received_message {
  std::ptrdiff_t size = 0;  // bytes; 0 when the peer is gone; -errno on failure
  std::size_t fd_count = 0;
  unique_fd fds[max_message_fds];
  // The message had descriptors that could not be received: this process has no free one, or there
  // were more than max_message_fds. Then none is returned, but the bytes are.
  bool fds_lost = false;
};

// A stream of bytes whose reader learns which process wrote them (SCM_CREDENTIALS). Writing blocks
// while the buffer is full, as with a pipe.
struct signed_stream {
  unique_fd reader;
  unique_fd writer;
};
// Both ends close-on-exec, 3 or above; the reader does not block. Throws std::system_error.
signed_stream make_signed_stream();
struct signed_bytes {
  std::size_t size = 0;  // 0: there are no bytes now
  int pid = 0;           // of the process that wrote them, also if it is dead by now
};
signed_bytes read_signed(int reader, std::span<char> buffer) noexcept;

// Receives one message; -EMSGSIZE if it is longer than `buffer`.
received_message receive_message(int socket, std::span<std::byte> buffer, blocking mode) noexcept;

}  // namespace procpool::os
