// How both sides verify that the other knows the key, before either trusts any message:
//
//   client -> server   hello: "procpool" version byte-order 6 zeros, 32 fresh random bytes
//   server -> client   hello: the same, with the server's own random bytes
//   client -> server   HMAC(key, "client proof" both hellos)
//   server -> client   HMAC(key, "server proof" both hellos)
//
// The server sends nothing but random bytes until the client has proved the key, and hangs up on a
// client that cannot. Each proof covers both sides' fresh bytes and names the side that gives it: a
// proof that is recorded, reflected or taken from another connection proves nothing. Both sides
// derive a key for each direction from the same input, and every message carries a code made with
// that key (see channel.hpp).
//
// The whole handshake has a deadline. Any thread.
#pragma once

#include <string>

#include "procpool/detail/rpc/remote_crypto.hpp"
#include "remote/net_socket.hpp"

namespace procpool::remote {

enum class greeting {
  done,
  closed,      // the other side hung up or is no procpool of this version and byte order
  late,        // the deadline has passed
  refused,     // the other side does not know the key
  impossible,  // no random bytes, or no cryptography
};

struct session_keys {
  detail::mac_bytes to_server{}, to_client{};
};

greeting greet_client(int socket, const std::string& key, const detail::remote_crypto& crypto,
                      io_deadline until, session_keys& keys) noexcept;
// Returns refused if the server hung up after it had received the client's proof.
greeting greet_server(int socket, const std::string& key, const detail::remote_crypto& crypto,
                      io_deadline until, session_keys& keys) noexcept;

}  // namespace procpool::remote
