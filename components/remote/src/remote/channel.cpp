#include "remote/channel.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include "os/poll.hpp"

namespace procpool::remote {
namespace {

using detail::byte_span;
using detail::mac_bytes;

struct message_head {
  std::uint32_t kind = 0;
  std::uint32_t reserved = 0;
  std::uint64_t length = 0;
};
static_assert(std::is_trivially_copyable_v<message_head> && sizeof(message_head) == 16);

constexpr std::size_t step = std::size_t{1} << 20U;
constexpr std::size_t first_step = std::size_t{1} << 16U;

bool is_sound(const message_head& head) {
  return head.kind >= static_cast<std::uint32_t>(message_kind::open) &&
         head.kind <= static_cast<std::uint32_t>(message_kind::exception) && head.reserved == 0;
}

transfer meaning(io_end end) noexcept {
  return end == io_end::done     ? transfer::done
         : end == io_end::closed ? transfer::closed
                                 : transfer::late;
}

}  // namespace

channel::channel(os::private_fd socket, side own, const session_keys& keys,
                 const detail::remote_crypto& crypto, channel_limits limits) noexcept
    : socket_(std::move(socket)),
      crypto_(crypto),
      limits_(limits),
      send_key_(own == side::client ? keys.to_server : keys.to_client),
      receive_key_(own == side::client ? keys.to_client : keys.to_server) {}

channel::~channel() {
  crypto_.wipe(send_key_.data(), send_key_.size());
  crypto_.wipe(receive_key_.data(), receive_key_.size());
}

bool channel::compute(const mac_bytes& key, std::uint64_t number, byte_span head, byte_span bytes,
                      mac_bytes& mac) const noexcept {
  const std::array<byte_span, 3> parts{std::as_bytes(std::span(&number, 1)), head, bytes};
  return crypto_.mac(key, parts, mac);
}

io_deadline channel::stall_from_now() const noexcept {
  return std::chrono::steady_clock::now() + limits_.stall;
}

transfer channel::send(message_kind kind, byte_span bytes) noexcept {
  message_head head;
  head.kind = static_cast<std::uint32_t>(kind);
  head.length = bytes.size();
  const byte_span head_bytes = std::as_bytes(std::span(&head, 1));
  mac_bytes mac{};
  if (bytes.size() > limits_.max_message) return transfer::too_long;
  if (!compute(send_key_, sent_++, head_bytes, bytes, mac)) return transfer::closed;
  // A small message is sent in one piece.
  std::array<std::byte, 512> small;
  const std::size_t whole = sizeof(head) + bytes.size() + mac.size();
  if (whole <= small.size()) {
    std::memcpy(small.data(), &head, sizeof(head));
    if (!bytes.empty()) std::memcpy(small.data() + sizeof(head), bytes.data(), bytes.size());
    std::memcpy(small.data() + sizeof(head) + bytes.size(), mac.data(), mac.size());
    return meaning(send_until(socket_.get(), byte_span(small).first(whole), stall_from_now()));
  }
  io_end end = send_until(socket_.get(), head_bytes, stall_from_now());
  while (end == io_end::done && !bytes.empty()) {
    const std::size_t now = std::min(step, bytes.size());
    end = send_until(socket_.get(), bytes.first(now), stall_from_now());
    bytes = bytes.subspan(now);
  }
  if (end == io_end::done) end = send_until(socket_.get(), mac, stall_from_now());
  return meaning(end);
}

transfer channel::receive(message& m, io_deadline first) {
  m.bytes.clear();
  message_head head;
  const auto head_bytes = std::as_writable_bytes(std::span(&head, 1));
  io_end end = receive_until(socket_.get(), head_bytes.first(1), first);
  if (end == io_end::done) {
    end = receive_until(socket_.get(), head_bytes.subspan(1), stall_from_now());
  }
  if (end != io_end::done) return meaning(end);
  if (!is_sound(head)) return transfer::forged;
  if (head.length > limits_.max_message) return transfer::too_long;
  while (m.bytes.size() < head.length) {
    const std::size_t have = m.bytes.size();
    const std::size_t now = std::min<std::size_t>(
        {static_cast<std::size_t>(head.length) - have, std::max(first_step, have), step});
    m.bytes.resize(have + now);
    end = receive_until(socket_.get(), std::span(m.bytes).subspan(have), stall_from_now());
    if (end != io_end::done) return meaning(end);
  }
  mac_bytes given{}, right{};
  end = receive_until(socket_.get(), given, stall_from_now());
  if (end != io_end::done) return meaning(end);
  if (!compute(receive_key_, received_++, head_bytes, m.bytes, right) ||
      !crypto_.equal(given, right)) {
    return transfer::forged;
  }
  m.kind = static_cast<message_kind>(head.kind);
  return transfer::done;
}

bool channel::is_stale() const noexcept {
  return os::poll_one(socket_.get(), os::poll_for::input, std::chrono::milliseconds(0)).readable;
}

}  // namespace procpool::remote
