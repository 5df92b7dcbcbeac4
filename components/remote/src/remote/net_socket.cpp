#include "remote/net_socket.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

#include "os/clock.hpp"
#include "os/error.hpp"
#include "os/limits.hpp"
#include "os/poll.hpp"

namespace procpool::remote {
namespace {

constexpr std::chrono::milliseconds retry_pause{5};
// When the program closes a descriptor, a wait for it does not end: it is noticed after this time.
constexpr std::chrono::milliseconds longest_sleep{5000};
constexpr int stream_flags = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

bool is_path(const std::string& address) { return address.find('/') != std::string::npos; }

struct host_and_port {
  std::string host, port;
};

host_and_port split(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  host_and_port parts;
  if (colon != std::string::npos) {
    parts = {address.substr(0, colon), address.substr(colon + 1)};
    if (parts.host.size() > 1 && parts.host.front() == '[' && parts.host.back() == ']') {
      parts.host = parts.host.substr(1, parts.host.size() - 2);
    } else if (parts.host.find(':') != std::string::npos) {
      parts.host.clear();  // ambiguous: several colons without brackets
    }
  }
  if (parts.host.empty() || parts.port.empty()) {
    throw std::invalid_argument(
        "procpool: '" + address +
        "' is not an address: expected host:port, [v6]:port, or the path of a "
        "Unix socket with a slash in it");
  }
  return parts;
}

sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    throw std::invalid_argument("procpool: the path of a Unix socket has at most " +
                                std::to_string(sizeof(address.sun_path) - 1) +
                                " characters: " + path);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

using address_list = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

address_list look_up(const std::string& address, int flags) {
  const host_and_port parts = split(address);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(parts.host.c_str(), parts.port.c_str(), &hints, &found);
  if (failed == EAI_SYSTEM) os::throw_errno(("cannot look up " + address).c_str());
  if (failed != 0) {
    throw std::system_error(EHOSTUNREACH, std::generic_category(),
                            "procpool: cannot look up " + address + ": " + ::gai_strerror(failed));
  }
  return {found, &::freeaddrinfo};
}

os::unique_fd make_stream(int family) noexcept {
  return os::above_stdio(os::unique_fd(::socket(family, stream_flags, 0)));
}

std::chrono::milliseconds left_of(io_deadline until) noexcept {
  if (until == no_deadline) return longest_sleep;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(os::time_left(until));
  return std::min<std::chrono::milliseconds>(left, longest_sleep);
}
[[noreturn]] void throw_net_error(int error, std::string what) {
  if (os::lacks_descriptors(error)) what += ": " + os::descriptor_advice(error);
  os::throw_error(error, what.c_str());
}
bool has_passed(io_deadline until) noexcept {
  return until != no_deadline && os::time_left(until).count() == 0;
}

// Returns 0 or an errno value. When the queue of a Unix listener is full (EAGAIN), retries.
int connect_one(int socket, const sockaddr* address, socklen_t size, io_deadline until) noexcept {
  for (;;) {
    if (::connect(socket, address, size) == 0 || errno == EISCONN) return 0;
    if (errno != EAGAIN && errno != EINTR) break;
    if (has_passed(until)) return ETIMEDOUT;
    os::poll_items({}, retry_pause);
  }
  if (errno != EINPROGRESS) return errno;
  while (!os::poll_one(socket, os::poll_for::output, left_of(until)).writable) {
    if (has_passed(until)) return ETIMEDOUT;
    int error = 0;
    socklen_t length = sizeof(error);
    if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error != 0) {
      return error;
    }
  }
  int error = 0;
  socklen_t length = sizeof(error);
  return ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

// Whether the file at the path was left by a dead server.
bool is_abandoned(const std::string& path, const sockaddr_un& address) noexcept {
  struct stat file{};
  if (::lstat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
  const os::unique_fd probe = make_stream(AF_UNIX);
  return probe && ::connect(probe.get(), generic(address), sizeof(address)) != 0 &&
         errno == ECONNREFUSED;
}

os::unique_fd listen_at_path(const std::string& path) {
  const sockaddr_un address = unix_address(path);
  os::unique_fd socket = make_stream(AF_UNIX);
  if (!socket) throw_net_error(errno, "cannot listen on " + path);
  bool bound = ::bind(socket.get(), generic(address), sizeof(address)) == 0;
  if (!bound && errno == EADDRINUSE && is_abandoned(path, address)) {
    ::unlink(path.c_str());
    bound = ::bind(socket.get(), generic(address), sizeof(address)) == 0;
  }
  // No client can connect before listen().
  if (!bound || ::chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0) {
    os::throw_errno(("cannot listen on " + path).c_str());
  }
  return socket;
}

int option(int socket, int level, int name, int value) noexcept {
  return ::setsockopt(socket, level, name, &value, sizeof(value));
}

}  // namespace

void check_address(const std::string& address) {
  if (is_path(address)) {
    unix_address(address);
  } else {
    split(address);
  }
}

os::unique_fd listen_on(const std::string& address) {
  if (is_path(address)) return listen_at_path(address);
  const address_list found = look_up(address, AI_PASSIVE);
  int error = EADDRNOTAVAIL;
  for (const addrinfo* at = found.get(); at != nullptr; at = at->ai_next) {
    os::unique_fd socket = make_stream(at->ai_family);
    if (socket && option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1) == 0 &&
        ::bind(socket.get(), at->ai_addr, at->ai_addrlen) == 0 &&
        ::listen(socket.get(), SOMAXCONN) == 0) {
      return socket;
    }
    error = errno;
  }
  throw_net_error(error, "cannot listen on " + address);
}

std::string bound_address(int listener, const std::string& asked) {
  if (is_path(asked)) return asked;
  sockaddr_storage own{};
  socklen_t size = sizeof(own);
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (::getsockname(listener, reinterpret_cast<sockaddr*>(&own), &size) != 0 ||
      ::getnameinfo(reinterpret_cast<const sockaddr*>(&own), size, host, sizeof(host), port,
                    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    os::throw_errno("cannot find out the address of a socket");
  }
  const bool wide = own.ss_family == AF_INET6;
  return (wide ? "[" : "") + std::string(host) + (wide ? "]:" : ":") + port;
}

socket_file file_at(const std::string& address) noexcept {
  struct stat file{};
  if (!is_path(address) || ::lstat(address.c_str(), &file) != 0) return {};
  return {file.st_dev, file.st_ino};
}

void remove_file_at(const std::string& address, const socket_file& file) noexcept {
  if (file != socket_file{} && file_at(address) == file) ::unlink(address.c_str());
}

os::unique_fd connect_to(const std::string& address, io_deadline until) {
  int error = 0;
  if (is_path(address)) {
    const sockaddr_un where = unix_address(address);
    os::unique_fd socket = make_stream(AF_UNIX);
    if (!socket) throw_net_error(errno, "cannot connect to " + address);
    error = connect_one(socket.get(), generic(where), sizeof(where), until);
    if (error == 0) return socket;
  } else {
    const address_list found = look_up(address, 0);
    for (const addrinfo* at = found.get(); at != nullptr; at = at->ai_next) {
      os::unique_fd socket = make_stream(at->ai_family);
      if (!socket) throw_net_error(errno, "cannot connect to " + address);
      error = connect_one(socket.get(), at->ai_addr, at->ai_addrlen, until);
      if (error == 0) return socket;
    }
  }
  throw_net_error(error, "cannot connect to " + address);
}

os::unique_fd accept_from(int listener) noexcept {
  return os::above_stdio(
      os::unique_fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)));
}

void watch_peer(int socket, std::chrono::milliseconds limit) noexcept {
  if (option(socket, IPPROTO_TCP, TCP_NODELAY, 1) != 0) return;
  // Half of the time without a packet, then three probes.
  const auto seconds = static_cast<int>(
      std::clamp<std::int64_t>(std::chrono::ceil<std::chrono::seconds>(limit).count(), 2, 3600));
  option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  option(socket, IPPROTO_TCP, TCP_KEEPIDLE, std::max(1, seconds / 2));
  option(socket, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, seconds / 6));
  option(socket, IPPROTO_TCP, TCP_KEEPCNT, 3);
  // The limit for sent data that is not acknowledged.
  option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, seconds * 1000);
}

void end_stream(int socket) noexcept { ::shutdown(socket, SHUT_RDWR); }

io_end send_until(int socket, std::span<const std::byte> bytes, io_deadline until) noexcept {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (has_passed(until)) return io_end::late;
      os::poll_one(socket, os::poll_for::output, left_of(until));
    } else if (errno != EINTR) {
      return errno == ETIMEDOUT ? io_end::late : io_end::closed;
    }
  }
  return io_end::done;
}

io_end receive_until(int socket, std::span<std::byte> bytes, io_deadline until) noexcept {
  while (!bytes.empty()) {
    const ssize_t got = ::recv(socket, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got == 0) return io_end::closed;
    if (got > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(got));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (has_passed(until)) return io_end::late;
      os::poll_one(socket, os::poll_for::input, left_of(until));
    } else if (errno != EINTR) {
      return errno == ETIMEDOUT ? io_end::late : io_end::closed;
    }
  }
  return io_end::done;
}

}  // namespace procpool::remote
