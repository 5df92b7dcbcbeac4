#include "remote/options.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "os/local_socket.hpp"

namespace procpool {
namespace {

constexpr std::size_t least_message = 1024;  // room for the text of an error
constexpr duration longest = std::chrono::hours(24 * 365);

void require(bool right, const char* what) {
  if (!right) throw std::invalid_argument(std::string("procpool: ") + what);
}

void check_common(const std::string& address, const std::string& key, std::size_t max_message,
                  duration stall) {
  remote::check_address(address);
  require(key.size() >= shortest_remote_key,
          "the key of a remote manager has 16 bytes at least: make_remote_key() makes one");
  require(max_message >= least_message, "max_message is below 1 KiB");
  require(stall > duration(0), "stall_timeout is not above 0");
}

std::chrono::milliseconds in_milliseconds(duration span) {
  return std::chrono::ceil<std::chrono::milliseconds>(std::min(span, longest));
}

}  // namespace

std::string make_remote_key() {
  std::array<std::byte, 32> bytes{};
  os::fill_random(bytes);
  std::string key;
  for (const std::byte b : bytes) {
    key += "0123456789abcdef"[std::to_integer<unsigned>(b) >> 4U];
    key += "0123456789abcdef"[std::to_integer<unsigned>(b) & 15U];
  }
  return key;
}

namespace remote {

remote_server_options checked(remote_server_options options) {
  check_common(options.address, options.key, options.max_message, options.stall_timeout);
  require(options.max_connections >= 2,
          "max_connections is below 2: a client has a connection of its own and one for each call");
  require(options.max_objects >= 1, "max_objects is below 1");
  require(options.handshake_timeout > duration(0), "handshake_timeout is not above 0");
  return options;
}

remote_client_options checked(remote_client_options options) {
  check_common(options.address, options.key, options.max_message, options.stall_timeout);
  require(options.connect_timeout > duration(0), "connect_timeout is not above 0");
  require(!options.call_timeout || *options.call_timeout > duration(0),
          "call_timeout is not above 0");
  return options;
}

channel_limits limits_of(const remote_server_options& options) {
  return {options.max_message, in_milliseconds(options.stall_timeout)};
}
channel_limits limits_of(const remote_client_options& options) {
  return {options.max_message, in_milliseconds(options.stall_timeout)};
}

io_deadline deadline_in(duration span) noexcept {
  return std::chrono::steady_clock::now() +
         std::chrono::ceil<std::chrono::milliseconds>(std::clamp(span, duration(0), longest));
}

transfer send_welcome(channel& c, const session_id& client, std::size_t max_message) noexcept {
  std::array<std::byte, sizeof(session_id) + sizeof(std::uint64_t)> bytes{};
  const std::uint64_t limit = max_message;
  std::memcpy(bytes.data(), client.data(), client.size());
  std::memcpy(bytes.data() + client.size(), &limit, sizeof(limit));
  return c.send(message_kind::welcome, bytes);
}

bool read_welcome(const message& m, welcome& w) noexcept {
  if (m.kind != message_kind::welcome ||
      m.bytes.size() != sizeof(session_id) + sizeof(std::uint64_t)) {
    return false;
  }
  std::memcpy(w.client.data(), m.bytes.data(), w.client.size());
  std::memcpy(&w.max_message, m.bytes.data() + w.client.size(), sizeof(w.max_message));
  return w.max_message >= 1;
}

}  // namespace remote
}  // namespace procpool
