// What managers and their clients read from sockets, local and remote ones: each input is a number
// that says who reads, and the bytes that come. Whatever they are, the reader comes to an end, and
// throws or answers with nothing but what it may.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "manager/protocol.hpp"
#include "os/local_socket.hpp"
#include "os/private_fds.hpp"
#include "procpool/detail/rpc/remote_call.hpp"
#include "procpool/errors.hpp"
#include "remote/channel.hpp"
#include "remote/handshake.hpp"
#include "remote/options.hpp"
#include "remote/session.hpp"
#include "wire/exception_codec.hpp"

namespace {

using namespace procpool;
using bytes = std::span<const std::byte>;

// A connection on which these bytes have come, and the end of it after them.
os::private_fd connection_with(bytes input) {
  int fds[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
  os::private_fd reader{os::unique_fd(fds[0])};
  const os::unique_fd writer(fds[1]);
  if (!os::send_all(writer.get(), input)) std::abort();
  shutdown(writer.get(), SHUT_WR);
  return reader;
}

void read_exception(const std::vector<std::byte>& from) {
  detail::wire_reader reader(from.data(), from.size());
  if (wire::decode_exception(reader, {}) == nullptr) std::abort();
}

void local(bytes input) {
  const os::private_fd connection = connection_with(input);
  manager_protocol::message m;
  while (manager_protocol::receive(connection.get(), m)) {
    if (m.head.kind == manager_protocol::message_kind::exception) read_exception(m.bytes);
    try {
      std::size_t size = 0;
      const auto named = manager_protocol::adopt_objects(m, size);
      if (size > m.bytes.size()) std::abort();
    } catch (const codec_error&) {
      continue;
    }
  }
}

// --- remote
// -----------------------------------------------------------------------------------

// Believes everything: what comes after it is what is looked for here.
constexpr detail::remote_crypto gullible{
    [](detail::byte_span, std::span<const detail::byte_span>, detail::mac_bytes&) noexcept {
      return true;
    },
    [](const detail::mac_bytes&, const detail::mac_bytes&) noexcept { return true; },
    [](void*, std::size_t) noexcept {}};
// And nothing.
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
    read_exception({reply.data(), reply.data() + reply.size()});
  } else if (kind != remote::message_kind::value || reply.size() > 1 << 16) {
    std::abort();
  }
}

void remote_requests(bytes input) {
  static const remote::exposures exposed = make_exposures();
  remote::session client(exposed, 4);
  // length:u8 kind:u8 bytes, again and again
  while (input.size() >= 2) {
    const auto length =
        std::min<std::size_t>(std::to_integer<std::size_t>(input[0]) * 2, input.size() - 2);
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
  // The other side's greeting, so that not everything is about that.
  const auto greeted = [&](std::size_t proof) {
    std::vector<std::byte> all(48 + proof);
    std::memcpy(all.data(), "procpool\1\1", 10);
    all.insert(all.end(), input.begin(), input.end());
    return all;
  };
  switch (data[0] % 6) {
    case 0:
      local(input);
      break;
    case 1:
      remote_requests(input);
      break;
    case 2:
      remote_connection(greeted(32), remote::greet_client, gullible, remote::side::server);
      break;
    case 3:
      remote_connection(greeted(32), remote::greet_server, gullible, remote::side::client);
      break;
    case 4:
      remote_connection(input, remote::greet_client, wary, remote::side::server);
      break;
    default:
      remote_connection(input, remote::greet_server, gullible, remote::side::client);
      break;
  }
  return 0;
}
