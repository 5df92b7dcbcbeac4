#include "os/local_socket.hpp"

#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "os/clock.hpp"
#include "os/error.hpp"
#include "os/poll.hpp"

namespace procpool::os {
namespace {

struct local_address {
  sockaddr_un bytes{};
  socklen_t size = 0;

  explicit local_address(const std::string& name) {
    bytes.sun_family = AF_UNIX;
    // A zero first: the abstract namespace.
    const std::size_t letters = std::min(name.size(), sizeof(bytes.sun_path) - 1);
    std::memcpy(bytes.sun_path + 1, name.data(), letters);
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + letters);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&bytes); }
};

unique_fd make_socket(int flags = 0) noexcept {
  return above_stdio(unique_fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0)));
}

bool peer(int socket, ucred& who) noexcept {
  socklen_t size = sizeof(who);
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0;
}

}  // namespace

void fill_random(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    if (got < 0 && errno != EINTR) throw_errno("cannot get random bytes");
    if (got > 0) bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

unique_fd listen_local(const std::string& name) {
  unique_fd socket = make_socket(SOCK_NONBLOCK);
  const local_address address(name);
  if (!socket || ::bind(socket.get(), address.get(), address.size) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0) {
    throw_errno("cannot listen on a local socket");
  }
  return socket;
}

unique_fd connect_local(const std::string& name) noexcept {
  unique_fd socket = make_socket();
  if (!socket) return socket;
  const local_address address(name);
  while (::connect(socket.get(), address.get(), address.size) != 0) {
    if (errno != EINTR) return {};  // close keeps errno
  }
  return socket;
}

unique_fd accept_local(int listener) noexcept {
  return above_stdio(unique_fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)));
}

accept_failure accept_failure_of(int error) noexcept {
  switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return accept_failure::lacking;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EOPNOTSUPP:
    case EFAULT:
      return accept_failure::broken;
    default:  // EAGAIN, EINTR, ECONNABORTED, EPERM (a firewall), and what networks report
      return accept_failure::nobody;
  }
}

user_id this_user() noexcept { return ::geteuid(); }

std::optional<user_id> peer_user(int socket) noexcept {
  ucred who{};
  if (!peer(socket, who)) return std::nullopt;
  return who.uid;
}

int peer_pid(int socket) noexcept {
  ucred who{};
  return peer(socket, who) ? who.pid : 0;
}

bool send_all(int socket, std::span<const std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR) return false;
    if (sent > 0) bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

bool receive_all(int socket, std::span<std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t got = ::recv(socket, bytes.data(), bytes.size(), 0);
    if (got == 0 || (got < 0 && errno != EINTR)) return false;
    if (got > 0) bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

bool receive_all_within(int socket, std::span<std::byte> bytes,
                        std::chrono::milliseconds limit) noexcept {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!bytes.empty()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(time_left(deadline));
    if (!poll_one(socket, poll_for::input, left).readable) return false;
    const ssize_t got = ::recv(socket, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) return false;
    if (got > 0) bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

bool is_readable(int socket) noexcept {
  return poll_one(socket, poll_for::input, std::chrono::milliseconds(0)).readable;
}

bool send_all(int socket, std::span<const std::byte> first,
              std::span<const std::byte> second) noexcept {
  iovec parts[2] = {{const_cast<std::byte*>(first.data()), first.size()},
                    {const_cast<std::byte*>(second.data()), second.size()}};
  msghdr both{};
  both.msg_iov = parts;
  both.msg_iovlen = 2;
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &both, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return false;
  const auto done = static_cast<std::size_t>(sent);
  const std::size_t of_first = std::min(done, first.size());
  return send_all(socket, first.subspan(of_first)) &&
         send_all(socket, second.subspan(done - of_first));
}

std::size_t receive_at_least(int socket, std::size_t least, std::span<std::byte> bytes) noexcept {
  std::size_t have = 0;
  while (have < least) {
    const ssize_t got = ::recv(socket, bytes.data() + have, bytes.size() - have, 0);
    if (got == 0 || (got < 0 && errno != EINTR)) return 0;
    if (got > 0) have += static_cast<std::size_t>(got);
  }
  return have;
}

}  // namespace procpool::os
