// Messages over an authenticated connection:
//
//   message := kind:u32 0:u32 length:u64 bytes:length mac:32
//
// mac is the HMAC of the message's number (0, 1, 2 ... in each direction), head and bytes, with the
// key of its direction: a message that is changed, repeated, omitted, reordered or sent back ends
// the connection. A length is accepted up to the limit, and memory is allocated as bytes arrive.
// Once a message has begun to arrive, each MiB must arrive within the stall limit.
//
// One thread sends and receives; any thread may call end().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "os/private_fds.hpp"
#include "procpool/detail/rpc/remote_crypto.hpp"
#include "remote/handshake.hpp"
#include "remote/net_socket.hpp"

namespace procpool::remote {

enum class message_kind : std::uint32_t {
  open = 1,     // a new client: answered with welcome
  join = 2,     // session: another connection of an existing client
  welcome = 3,  // session, the server's limit of bytes
  // Requests, which are answered with value or exception; with the numbers of detail::remote_verb.
  call = 4,    // name signature arguments
  method = 5,  // object name signature arguments
  make = 6,    // type signature arguments
  find = 7,    // type name
  drop = 8,    // object; not answered; the only request on the connection of `open`
  value = 9,
  exception = 10,
};

struct message {
  message_kind kind = message_kind::value;
  std::vector<std::byte> bytes;
};

enum class side { client, server };

struct channel_limits {
  std::size_t max_message = std::size_t{64} << 20U;
  std::chrono::milliseconds stall{30'000};
};

enum class transfer { done, closed, late, forged, too_long };

class channel {
 public:
  channel(os::private_fd socket, side own, const session_keys& keys,
          const detail::remote_crypto& crypto, channel_limits limits) noexcept;
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;
  ~channel();

  transfer send(message_kind kind, detail::byte_span bytes) noexcept;
  // The first byte has to arrive by `first`. Throws std::bad_alloc.
  transfer receive(message& m, io_deadline first);

  void end() noexcept { end_stream(socket_.get()); }
  // Whether the other side has hung up, or has sent an unrequested message.
  bool is_stale() const noexcept;
  void limit_messages(std::size_t bytes) noexcept { limits_.max_message = bytes; }
  const channel_limits& limits() const noexcept { return limits_; }

 private:
  bool compute(const detail::mac_bytes& key, std::uint64_t number, detail::byte_span head,
               detail::byte_span bytes, detail::mac_bytes& mac) const noexcept;
  io_deadline stall_from_now() const noexcept;

  const os::private_fd socket_;
  const detail::remote_crypto& crypto_;
  channel_limits limits_;
  detail::mac_bytes send_key_, receive_key_;
  std::uint64_t sent_ = 0, received_ = 0;
};

}  // namespace procpool::remote
