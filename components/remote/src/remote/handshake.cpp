#include "remote/handshake.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <exception>
#include <span>
#include <string_view>

#include "os/local_socket.hpp"

namespace procpool::remote {
namespace {

using detail::byte_span;
using detail::mac_bytes;

constexpr std::size_t intro_size = 16, nonce_size = 32;
using intro_bytes = std::array<std::byte, intro_size>;
using hello_bytes = std::array<std::byte, intro_size + nonce_size>;

constexpr std::byte version{1};
constexpr std::byte byte_order{std::endian::native == std::endian::little ? 1 : 2};

intro_bytes make_intro() noexcept {
  intro_bytes intro{};
  std::memcpy(intro.data(), "procpool", 8);
  intro[8] = version;
  intro[9] = byte_order;
  return intro;
}

// All have one length, so that no text is a prefix of another.
using purpose = std::array<char, 16>;
constexpr purpose client_proof = {'c', 'l', 'i', 'e', 'n', 't', ' ', 'p', 'r', 'o', 'o', 'f'};
constexpr purpose server_proof = {'s', 'e', 'r', 'v', 'e', 'r', ' ', 'p', 'r', 'o', 'o', 'f'};
constexpr purpose key_to_server = {'k', 'e', 'y', ' ', 't', 'o', ' ', 's', 'e', 'r', 'v', 'e', 'r'};
constexpr purpose key_to_client = {'k', 'e', 'y', ' ', 't', 'o', ' ', 'c', 'l', 'i', 'e', 'n', 't'};

greeting greeting_of(io_end end) noexcept {
  return end == io_end::done     ? greeting::done
         : end == io_end::closed ? greeting::closed
                                 : greeting::late;
}

// One side of one handshake.
class handshake {
 public:
  handshake(int socket, const std::string& key, const detail::remote_crypto& crypto,
            io_deadline until) noexcept
      : socket_(socket), key_(std::as_bytes(std::span(key))), crypto_(crypto), until_(until) {}

  greeting send_hello(hello_bytes& hello) noexcept {
    const intro_bytes intro = make_intro();
    std::memcpy(hello.data(), intro.data(), intro_size);
    try {
      os::fill_random(std::span(hello).subspan(intro_size));
    } catch (const std::exception&) {
      return greeting::impossible;
    }
    return send(hello);
  }
  greeting receive_hello(hello_bytes& hello) noexcept {
    const greeting got = receive(hello);
    if (got != greeting::done) return got;
    const intro_bytes intro = make_intro();
    return std::memcmp(hello.data(), intro.data(), intro_size) == 0 ? greeting::done
                                                                    : greeting::closed;
  }

  greeting send_proof(const purpose& who) noexcept {
    mac_bytes proof{};
    return compute(who, proof) ? send(proof) : greeting::impossible;
  }
  greeting receive_proof(const purpose& who) noexcept {
    mac_bytes given{}, right{};
    const greeting got = receive(given);
    if (got != greeting::done) return got;
    if (!compute(who, right)) return greeting::impossible;
    return crypto_.equal(given, right) ? greeting::done : greeting::refused;
  }
  greeting derive(session_keys& keys) const noexcept {
    return compute(key_to_server, keys.to_server) && compute(key_to_client, keys.to_client)
               ? greeting::done
               : greeting::impossible;
  }

  hello_bytes client{}, server{};

 private:
  bool compute(const purpose& what, mac_bytes& out) const noexcept {
    const std::array<byte_span, 3> parts{std::as_bytes(std::span(what)), client, server};
    return crypto_.mac(key_, parts, out);
  }
  greeting send(byte_span bytes) const noexcept {
    return greeting_of(send_until(socket_, bytes, until_));
  }
  greeting receive(std::span<std::byte> bytes) const noexcept {
    return greeting_of(receive_until(socket_, bytes, until_));
  }

  const int socket_;
  const byte_span key_;
  const detail::remote_crypto& crypto_;
  const io_deadline until_;
};

}  // namespace

greeting greet_client(int socket, const std::string& key, const detail::remote_crypto& crypto,
                      io_deadline until, session_keys& keys) noexcept {
  handshake h(socket, key, crypto, until);
  greeting g = h.receive_hello(h.client);
  if (g == greeting::done) g = h.send_hello(h.server);
  if (g == greeting::done) g = h.receive_proof(client_proof);
  if (g == greeting::done) g = h.send_proof(server_proof);
  return g == greeting::done ? h.derive(keys) : g;
}

greeting greet_server(int socket, const std::string& key, const detail::remote_crypto& crypto,
                      io_deadline until, session_keys& keys) noexcept {
  handshake h(socket, key, crypto, until);
  greeting g = h.send_hello(h.client);
  if (g == greeting::done) g = h.receive_hello(h.server);
  if (g == greeting::done) g = h.send_proof(client_proof);
  if (g == greeting::done) {
    g = h.receive_proof(server_proof);
    if (g == greeting::closed) g = greeting::refused;
  }
  return g == greeting::done ? h.derive(keys) : g;
}

}  // namespace procpool::remote
