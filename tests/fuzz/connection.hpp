// What the fuzzers of managers share: sockets on which an input arrives.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdlib>
#include <span>
#include <vector>

#include "os/local_socket.hpp"
#include "os/private_fds.hpp"
#include "procpool/codec.hpp"
#include "wire/exception_codec.hpp"

namespace procpool::testing {

// A connection on which these bytes have arrived, followed by the end of the connection.
inline os::private_fd connection_with(std::span<const std::byte> input) {
  int fds[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
  os::private_fd reader{os::unique_fd(fds[0])};
  const os::unique_fd writer(fds[1]);
  if (!os::send_all(writer.get(), input)) std::abort();
  shutdown(writer.get(), SHUT_WR);
  return reader;
}

inline void read_exception(std::span<const std::byte> from) {
  detail::wire_reader reader(from.data(), from.size());
  if (wire::decode_exception(reader, {}) == nullptr) std::abort();
}

}  // namespace procpool::testing
