// The messages of managers in other processes of the program: the input is what arrives on the
// connection. The reader comes to an end, and throws codec_error only.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "fuzz/connection.hpp"
#include "manager/protocol.hpp"
#include "procpool/errors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace procpool;
  const os::private_fd connection =
      procpool::testing::connection_with(std::as_bytes(std::span(data, size)));
  manager_protocol::message m;
  while (manager_protocol::receive(connection.get(), m)) {
    if (m.head.kind == manager_protocol::message_kind::exception) testing::read_exception(m.bytes);
    try {
      std::size_t used = 0;
      const auto named = manager_protocol::adopt_objects(m, used);
      if (used > m.bytes.size()) std::abort();
    } catch (const codec_error&) {
      continue;
    }
  }
  return 0;
}
