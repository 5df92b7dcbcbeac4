#include "manager/protocol.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <span>

#include "objects/object_list.hpp"
#include "os/local_socket.hpp"
#include "procpool/errors.hpp"

namespace procpool {
namespace detail {

managed_object::~managed_object() = default;

}  // namespace detail

namespace manager_protocol {
namespace {

constexpr std::uint64_t most_bytes = std::uint64_t{1} << 40U;
constexpr std::size_t first_step = std::size_t{1} << 16U;
constexpr std::size_t usual_bytes = 1024;  // most messages, with their heads, are no larger

constinit std::atomic<local_manager*> here{nullptr};

bool is_sound(const message_head& head) {
  return head.magic == message_magic && head.kind >= message_kind::make &&
         head.kind <= message_kind::taken && head.names_objects <= 1 && head.length <= most_bytes;
}

}  // namespace

bool send(int socket, message_head head, const detail::wire_writer& bytes) noexcept {
  head.length = bytes.size();
  return os::send_all(socket, std::as_bytes(std::span(&head, 1)), {bytes.data(), bytes.size()});
}

bool send(int socket, message_kind kind) noexcept {
  message_head head;
  head.kind = kind;
  return os::send_all(socket, std::as_bytes(std::span(&head, 1)));
}

bool receive(int socket, message& m) {
  m.bytes.clear();
  std::array<std::byte, usual_bytes> first;
  const std::size_t got = os::receive_at_least(socket, sizeof(m.head), first);
  if (got == 0) return false;
  std::memcpy(&m.head, first.data(), sizeof(m.head));
  if (!is_sound(m.head) || got - sizeof(m.head) > m.head.length) return false;
  m.bytes.assign(first.data() + sizeof(m.head), first.data() + got);
  // Allocates twice the received bytes.
  while (m.bytes.size() < m.head.length) {
    const std::size_t have = m.bytes.size();
    const std::size_t step =
        std::min<std::size_t>(m.head.length - have, std::max(first_step, have));
    m.bytes.resize(have + step);
    if (!os::receive_all(socket, std::span(m.bytes).subspan(have))) return false;
  }
  return true;
}

bool receive_taken(int socket) noexcept {
  message_head head;
  return os::receive_all(socket, std::as_writable_bytes(std::span(&head, 1))) && is_sound(head) &&
         head.kind == message_kind::taken && head.length == 0;
}

std::vector<detail::shared_object> adopt_objects(const message& m, std::size_t& value_size) {
  std::vector<detail::shared_object> adopted;
  value_size = m.bytes.size();
  if (m.head.names_objects == 0) return adopted;
  const wire::object_list list(m.bytes.data(), m.bytes.size());
  value_size = list.value_size();
  adopted.reserve(list.count());
  for (std::uint32_t i = 0; i < list.count(); ++i) {
    adopted.push_back(detail::shared_object::adopt(list.at(i)));
  }
  return adopted;
}

local_manager* this_manager() noexcept { return here.load(std::memory_order_acquire); }
void set_this_manager(local_manager& m) noexcept { here.store(&m, std::memory_order_release); }

}  // namespace manager_protocol
}  // namespace procpool
