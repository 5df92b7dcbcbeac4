// The messages of remote managers: the first byte of the input chooses the side and how far its
// connection is, the others are what arrives. The reader comes to an end, and answers or throws
// only what it may. Needs no OpenSSL: the cryptography here accepts all, or nothing.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/connection.hpp"
#include "os/private_fds.hpp"
#include "procpool/detail/rpc/remote_call.hpp"
#include "procpool/errors.hpp"
#include "remote/channel.hpp"
#include "remote/handshake.hpp"
#include "remote/options.hpp"
#include "remote/session.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using bytes = std::span<const std::byte>;

// Accepts every proof and every message, so that inputs get past the handshake.
constexpr detail::remote_crypto gullible{
    [](detail::byte_span, std::span<const detail::byte_span>, detail::mac_bytes&) noexcept {
      return true;
    },
    [](const detail::mac_bytes&, const detail::mac_bytes&) noexcept { return true; },
    [](void*, std::size_t) noexcept {}};
// Accepts no proof and no message.
constexpr detail::remote_crypto wary{
    gullible.mac, [](const detail::mac_bytes&, const detail::mac_bytes&) noexcept { return false; },
    gullible.wipe};

struct tree {
  std::string name;
  std::vector<tree> children;
};
struct account {
  long sum = 0;
  void add(long x) { sum ^= x; }
};

remote::exposures make_exposures() {
  remote::exposures e;
  e.functions["f"] = detail::expose_declared<void>([](int a, double b) { return a + b; });
  e.functions["g"] = detail::expose_declared<void>([](std::string_view s) { return s.size(); });
  e.functions["t"] = detail::expose_declared<void>([](const tree& t) { return t; });
  e.functions["m"] = detail::expose_declared<void>(
      [](const std::map<int, std::vector<bool>>& m, std::span<const long> s) {
        if (s.size() > 3) throw std::length_error("long");
        return m;
      });
  detail::remote_type_entry& type = e.types["a"];
  type.constructors[detail::signature_of<void>()] = [](detail::wire_reader& in) {
    in.expect_end();
    return std::make_shared<account>();
  };
  type.methods["add"] = detail::expose_declared<account>(&account::add);
  type.objects["one"] = std::make_shared<account>();
  e.share_objects();
  return e;
}

void answer(remote::session& client, const remote::message& m) {
  detail::heap_writer reply;
  const remote::message_kind kind = client.answer(m, reply, 1 << 16);
  if (kind == remote::message_kind::exception) {
    read_exception({reply.data(), reply.size()});
  } else if (kind != remote::message_kind::value || reply.size() > 1 << 16) {
    std::abort();
  }
}

void remote_requests(bytes input) {
  static const remote::exposures exposed = make_exposures();
  remote::session client(exposed, 4);
  // The input is a sequence of requests, length:u8 kind:u8 bytes. A few: most end with an
  // exception, which takes a sanitizer long.
  for (int requests = 0; requests < 8 && input.size() >= 2; ++requests) {
    const auto length =
        std::min<std::size_t>(std::to_integer<std::size_t>(input[0]), input.size() - 2);
    remote::message m;
    m.kind = static_cast<remote::message_kind>(std::to_integer<std::uint32_t>(input[1]) % 12);
    const bytes body = input.subspan(2, length);
    m.bytes.assign(body.begin(), body.end());
    answer(client, m);
    input = input.subspan(2 + length);
  }
}

template <class Greet>
void remote_connection(bytes input, Greet greet, const detail::remote_crypto& crypto,
                       remote::side own) {
  static const remote::exposures exposed = make_exposures();
  os::private_fd socket = connection_with(input);
  remote::session_keys keys;
  const std::string key(32, 'k');
  const auto until = remote::deadline_in(duration(5));
  if (greet(socket.get(), key, crypto, until, keys) != remote::greeting::done) return;
  if (&crypto == &wary) std::abort();
  remote::session client(exposed, 4);
  remote::channel c(std::move(socket), own, keys, crypto, {1 << 16, std::chrono::seconds(5)});
  remote::message m;
  while (c.receive(m, until) == remote::transfer::done) {
    remote::welcome w;
    remote::read_welcome(m, w);
    answer(client, m);
    if (m.bytes.size() > 1 << 16) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bytes input = std::as_bytes(std::span(data + 1, size - 1));
  // Puts the other side's greeting before the input, so that the input is about what follows it.
  const auto greeted = [&](std::size_t proof) {
    std::vector<std::byte> all(48 + proof);
    std::memcpy(all.data(), "procpool\1\1", 10);
    all.insert(all.end(), input.begin(), input.end());
    return all;
  };
  switch (data[0] % 5) {
    case 0:
      remote_requests(input);
      break;
    case 1:
      remote_connection(greeted(32), remote::greet_client, gullible, remote::side::server);
      break;
    case 2:
      remote_connection(greeted(32), remote::greet_server, gullible, remote::side::client);
      break;
    case 3:
      remote_connection(input, remote::greet_client, wary, remote::side::server);
      break;
    default:
      remote_connection(input, remote::greet_server, gullible, remote::side::client);
      break;
  }
  return 0;
}
