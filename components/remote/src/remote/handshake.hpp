// How two sides find out that both know the key, before either believes a word:
//
//   client -> server   hello: "procpool" version byte-order 6 zeros, 32 fresh random bytes
//   server -> client   hello: the same, with random bytes of its own
//   client -> server   HMAC(key, "client proof" both hellos)
//   server -> client   HMAC(key, "server proof" both hellos)
//
// The server says nothing but random bytes until the client has proved itself, and hangs up on one
// that cannot. Each proof is about both sides' fresh bytes and names who gives it: one that is
// recorded, reflected or taken from another connection proves nothing. Both derive a key for each
// direction from the same, and every message carries a code by it (see channel.hpp).
//
// All of it ends at a deadline. Any thread.
#pragma once

#include <string>

#include "procpool/detail/rpc/remote_crypto.hpp"
#include "remote/net_socket.hpp"

namespace procpool::remote {

enum class greeting {
  done,
  closed,      // the other side hung up or is no procpool of this version and byte order
  late,        // the deadline
  refused,     // the other side does not know the key
  impossible,  // no random bytes, or no cryptography
};

struct session_keys {
  detail::mac_bytes to_server{}, to_client{};
};

greeting greet_client(int socket, const std::string& key, const detail::remote_crypto& crypto,
                      io_deadline until, session_keys& keys) noexcept;
// The other side hung up after it had our proof: refused.
greeting greet_server(int socket, const std::string& key, const detail::remote_crypto& crypto,
                      io_deadline until, session_keys& keys) noexcept;

}  // namespace procpool::remote
