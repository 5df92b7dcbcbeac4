// The handshake: wrong keys, reflected and recorded proofs, garbage, silence, and an end at every
// byte. Then the messages that follow it, changed on their way.
#include "remote/handshake.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "os/local_socket.hpp"
#include "procpool/remote.hpp"
#include "remote/channel.hpp"

namespace procpool::remote {
namespace {

using namespace std::chrono_literals;
using bytes = std::vector<std::byte>;

const std::string key(32, 'k'), other_key(32, 'o');
constexpr std::size_t hello_size = 48, proof_size = 32;

remote::io_deadline in(std::chrono::milliseconds span) {
  return std::chrono::steady_clock::now() + span;
}

struct sockets {
  os::private_fd a, b;
  sockets() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    a = os::private_fd(os::unique_fd(fds[0]));
    b = os::private_fd(os::unique_fd(fds[1]));
  }
};

bytes read_some(int fd, std::size_t n) {
  bytes all(n);
  EXPECT_TRUE(os::receive_all_within(fd, all, 30s));
  return all;
}
void write_all(int fd, std::span<const std::byte> all) { EXPECT_TRUE(os::send_all(fd, all)); }
bool says_nothing(int fd) {
  bytes one(1);
  return remote::receive_until(fd, one, in(20ms)) != remote::io_end::done;
}

greeting as_server(int fd, session_keys& keys, std::chrono::milliseconds limit = 30s,
                   const std::string& own = key) {
  return greet_client(fd, own, detail::openssl_crypto(), in(limit), keys);
}
greeting as_client(int fd, session_keys& keys, std::chrono::milliseconds limit = 30s,
                   const std::string& own = key) {
  return greet_server(fd, own, detail::openssl_crypto(), in(limit), keys);
}

// A server in a thread of its own, for what a client says.
struct server {
  sockets s;
  session_keys keys;
  greeting result = greeting::done;
  std::thread thread;
  explicit server(std::chrono::milliseconds limit = 30s)
      : thread([this, limit] {
          result = as_server(s.a.get(), keys, limit);
          if (result != greeting::done) s.a.reset();
        }) {}
  greeting end() {
    thread.join();
    return result;
  }
};

TEST(handshake_test, a_client_and_a_server_with_the_same_key) {
  server there;
  session_keys keys;
  EXPECT_EQ(as_client(there.s.b.get(), keys), greeting::done);
  EXPECT_EQ(there.end(), greeting::done);
  EXPECT_EQ(keys.to_server, there.keys.to_server);
  EXPECT_EQ(keys.to_client, there.keys.to_client);
  EXPECT_NE(keys.to_server, keys.to_client);
  server again;
  session_keys fresh;
  EXPECT_EQ(as_client(again.s.b.get(), fresh), greeting::done);
  again.end();
  EXPECT_NE(fresh.to_server, keys.to_server);
}

TEST(handshake_test, a_client_with_another_key) {
  server there;
  session_keys keys;
  EXPECT_EQ(as_client(there.s.b.get(), keys, 30s, other_key), greeting::refused);
  EXPECT_EQ(there.end(), greeting::refused);
}

// A server without the key has no proof that a client accepts.
TEST(handshake_test, a_server_without_the_key_reflects_the_messages_of_the_client) {
  sockets s;
  session_keys keys;
  greeting result = greeting::done;
  std::thread client([&] { result = as_client(s.a.get(), keys); });
  write_all(s.b.get(), read_some(s.b.get(), hello_size));
  write_all(s.b.get(), read_some(s.b.get(), proof_size));
  client.join();
  EXPECT_EQ(result, greeting::refused);
}

// The recorded messages of a client are no proof in another handshake.
TEST(handshake_test, recorded_messages_of_a_client_are_refused) {
  sockets s;
  session_keys keys;
  bytes said;
  {
    server there;
    std::thread client([&] { EXPECT_EQ(as_client(s.a.get(), keys), greeting::done); });
    const auto forward = [&](int from, int to, std::size_t n, bool note) {
      const bytes all = read_some(from, n);
      if (note) said.insert(said.end(), all.begin(), all.end());
      write_all(to, all);
    };
    forward(s.b.get(), there.s.b.get(), hello_size, true);
    forward(there.s.b.get(), s.b.get(), hello_size, false);
    forward(s.b.get(), there.s.b.get(), proof_size, true);
    forward(there.s.b.get(), s.b.get(), proof_size, false);
    client.join();
    EXPECT_EQ(there.end(), greeting::done);
  }
  server there;
  write_all(there.s.b.get(), said);
  EXPECT_EQ(there.end(), greeting::refused);
  read_some(there.s.b.get(), hello_size);
  EXPECT_TRUE(says_nothing(there.s.b.get()));
}

// A client without the key gets no proof from one server that another server accepts.
TEST(handshake_test, messages_of_one_server_are_refused_by_another_server) {
  server one, two;
  bytes hello(hello_size);
  std::memcpy(hello.data(), "procpool\1\1", 10);
  write_all(one.s.b.get(), hello);
  write_all(two.s.b.get(), read_some(one.s.b.get(), hello_size));  // as if it were ours
  const bytes answer = read_some(two.s.b.get(), hello_size);
  write_all(one.s.b.get(), std::span(answer).last(proof_size));
  write_all(two.s.b.get(), bytes(proof_size));
  EXPECT_EQ(one.end(), greeting::refused);
  EXPECT_EQ(two.end(), greeting::refused);
  EXPECT_TRUE(says_nothing(one.s.b.get()));
  EXPECT_TRUE(says_nothing(two.s.b.get()));
}

TEST(handshake_test, the_connection_ends_at_every_byte) {
  bytes said(hello_size + proof_size, std::byte{7});
  std::memcpy(said.data(), "procpool\1\1\0\0\0\0\0\0", 16);
  for (std::size_t n = 0; n < said.size(); ++n) {
    server there;
    write_all(there.s.b.get(), std::span(said).first(n));
    there.s.b.reset();
    EXPECT_EQ(there.end(), greeting::closed) << n;
    sockets s;
    write_all(s.b.get(), std::span(said).first(n));
    ::shutdown(s.b.get(), SHUT_WR);
    session_keys keys;
    EXPECT_NE(as_client(s.a.get(), keys), greeting::done) << n;
  }
}

TEST(handshake_test, a_peer_that_falls_silent) {
  bytes said(hello_size, std::byte{7});
  std::memcpy(said.data(), "procpool\1\1\0\0\0\0\0\0", 16);
  for (const std::size_t n : {std::size_t{0}, std::size_t{1}, std::size_t{47}, std::size_t{48}}) {
    server there(50ms);
    write_all(there.s.b.get(), std::span(said).first(n));
    EXPECT_EQ(there.end(), greeting::late);
    sockets s;
    write_all(s.b.get(), std::span(said).first(n));
    session_keys keys;
    EXPECT_EQ(as_client(s.a.get(), keys, 50ms), greeting::late);
  }
}

TEST(handshake_test, other_protocols_versions_and_byte_orders) {
  const auto greet_with = [](const std::string& begin) {
    server there;
    bytes said(hello_size + proof_size);
    std::memcpy(said.data(), begin.data(), begin.size());
    write_all(there.s.b.get(), said);
    return there.end();
  };
  EXPECT_EQ(greet_with("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), greeting::closed);
  EXPECT_EQ(greet_with("procpool\2\1"), greeting::closed);  // another version
  EXPECT_EQ(greet_with("procpool\1\2"), greeting::closed);  // another byte order
  EXPECT_EQ(greet_with("procpool\1\1"), greeting::refused);
}

// --- messages
// -----------------------------------------------------------------------------------

session_keys some_keys() {
  session_keys keys;
  keys.to_server.fill(std::byte{1});
  keys.to_client.fill(std::byte{2});
  return keys;
}

struct channels {
  std::unique_ptr<channel> client, server;
  int raw_client = -1, raw_server = -1;
  explicit channels(channel_limits limits = {}) {
    sockets s;
    raw_client = s.a.get();
    raw_server = s.b.get();
    client = std::make_unique<channel>(std::move(s.a), side::client, some_keys(),
                                       detail::openssl_crypto(), limits);
    server = std::make_unique<channel>(std::move(s.b), side::server, some_keys(),
                                       detail::openssl_crypto(), limits);
  }
};

bytes text(std::string_view s) {
  const auto all = std::as_bytes(std::span(s));
  return {all.begin(), all.end()};
}

// The bytes of one message of a client, as they travel.
bytes message_of(std::string_view body, int before = 0) {
  channels c;
  for (int i = 0; i < before; ++i)
    EXPECT_EQ(c.client->send(message_kind::call, {}), transfer::done);
  EXPECT_EQ(c.client->send(message_kind::call, text(body)), transfer::done);
  read_some(c.raw_server, static_cast<std::size_t>(before) * 48);
  return read_some(c.raw_server, 48 + body.size());
}

transfer receive_from(const bytes& travelled, side to = side::server) {
  channels c({.max_message = 1000, .stall = 50ms});
  const bool at_server = to == side::server;
  write_all(at_server ? c.raw_client : c.raw_server, travelled);
  ::shutdown(at_server ? c.raw_client : c.raw_server, SHUT_WR);
  message m;
  return (at_server ? c.server : c.client)->receive(m, in(30s));
}

TEST(channel_test, messages_of_all_sizes_arrive) {
  channels c;
  bytes large(3'000'000, std::byte{5});
  std::thread sender([&] {
    EXPECT_EQ(c.client->send(message_kind::call, text("small")), transfer::done);
    EXPECT_EQ(c.client->send(message_kind::make, large), transfer::done);
    EXPECT_EQ(c.client->send(message_kind::drop, {}), transfer::done);
  });
  message m;
  EXPECT_EQ(c.server->receive(m, in(30s)), transfer::done);
  EXPECT_EQ(m.kind, message_kind::call);
  EXPECT_EQ(m.bytes, text("small"));
  EXPECT_EQ(c.server->receive(m, in(30s)), transfer::done);
  EXPECT_EQ(m.bytes, large);
  EXPECT_EQ(c.server->receive(m, in(30s)), transfer::done);
  EXPECT_TRUE(m.bytes.empty());
  sender.join();
  EXPECT_EQ(c.server->send(message_kind::value, text("back")), transfer::done);
  EXPECT_EQ(c.client->receive(m, in(30s)), transfer::done);
  EXPECT_EQ(m.bytes, text("back"));
  EXPECT_EQ(c.client->receive(m, in(20ms)), transfer::late);
}

TEST(channel_test, a_change_of_any_bit_and_an_end_at_any_byte) {
  const bytes good = message_of("pay 10");
  EXPECT_EQ(receive_from(good), transfer::done);
  for (std::size_t i = 0; i < good.size(); ++i) {
    bytes changed = good;
    changed[i] ^= std::byte{1};
    EXPECT_NE(receive_from(changed), transfer::done) << i;
    changed = good;
    changed.resize(i);
    EXPECT_EQ(receive_from(changed), transfer::closed) << i;
  }
}

TEST(channel_test, repeated_reordered_and_reflected_messages) {
  const bytes first = message_of("a"), second = message_of("b", 1);
  EXPECT_EQ(receive_from(second), transfer::forged);               // the first is missing
  EXPECT_EQ(receive_from(first, side::client), transfer::forged);  // back to its sender
  channels c;
  bytes twice = first;
  twice.insert(twice.end(), first.begin(), first.end());
  write_all(c.raw_client, twice);
  message m;
  EXPECT_EQ(c.server->receive(m, in(30s)), transfer::done);
  EXPECT_EQ(c.server->receive(m, in(30s)), transfer::forged);
}

TEST(channel_test, lengths_above_the_limit) {
  EXPECT_EQ(receive_from(message_of(std::string(1000, 'x'))), transfer::done);
  EXPECT_EQ(receive_from(message_of(std::string(1001, 'x'))), transfer::too_long);
  channels c({.max_message = 10});
  EXPECT_EQ(c.client->send(message_kind::call, bytes(11)), transfer::too_long);
  // A length alone costs nothing.
  channels many({.max_message = std::size_t{1} << 40U, .stall = 50ms});
  bytes head(19);
  head[0] = std::byte{4};
  head[12] = std::byte{64};
  write_all(many.raw_client, head);
  message m;
  EXPECT_EQ(many.server->receive(m, in(30s)), transfer::late);
  EXPECT_LE(m.bytes.capacity(), std::size_t{1} << 20U);
}

TEST(channel_test, a_peer_that_reads_nothing) {
  channels c({.stall = 50ms});
  EXPECT_EQ(c.client->send(message_kind::call, bytes(20'000'000)), transfer::late);
}

TEST(channel_test, another_thread_ends_the_channel) {
  channels c;
  std::thread other([&] { c.server->end(); });
  message m;
  EXPECT_EQ(c.server->receive(m, remote::no_deadline), transfer::closed);
  other.join();
  EXPECT_TRUE(c.client->is_stale());
}

}  // namespace
}  // namespace procpool::remote
