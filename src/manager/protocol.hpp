// The messages between a manager and its clients, over a stream socket with a secret name:
//
//   client                                 manager (a thread for each connection)
//   secret
//   message make | call                 -> runs it
//                                       <- message value | exception
//   message taken, if objects were named   (until then the manager keeps them)
//   ... and the next request on the same connection
//
//   message := head bytes:length          bytes := encoded values [list of shared objects]
//
// A manager that cannot serve a client answers with an exception and closes the connection.
//
// Both ends belong to one build of one program. A client checks that the manager's user is the user
// that made it, since any process can take the name once the manager is dead. The manager checks
// the secret and not the user, since a program may drop its rights. Neither side trusts a length:
// memory is allocated as bytes arrive. The end of the connection ends the call that it carries.
// carries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "procpool/detail/rpc/managed.hpp"
#include "procpool/detail/shared/shared_object.hpp"

namespace procpool::manager_protocol {

enum class message_kind : std::uint32_t { make = 1, call = 2, value = 3, exception = 4, taken = 5 };

inline constexpr std::uint32_t message_magic = 0x70'70'6d'01;

struct message_head {
  std::uint32_t magic = message_magic;
  message_kind kind = message_kind::value;
  std::uint32_t names_objects = 0;  // 1: a list of objects follows the values
  std::uint32_t reserved = 0;
  std::uint64_t number = 0;       // of the object, in its manager
  detail::object_ref token = {};  // make: the token that keeps the object
  std::uint64_t code = 0;         // of a detail::make_thunk or detail::call_thunk
  std::uint64_t length = 0;
};
static_assert(std::is_trivially_copyable_v<message_head> && sizeof(message_head) == 48);

struct message {
  message_head head;
  std::vector<std::byte> bytes;
};

// Returns false when the other end has closed or breaks the protocol. Throws std::bad_alloc.
bool send(int socket, message_head head, const detail::wire_writer& bytes) noexcept;
bool send(int socket, message_kind kind) noexcept;
// The peer may send nothing after the message until it has its answer.
bool receive(int socket, message& m);
// Receives the message `taken`, which the next request may follow at once.
bool receive_taken(int socket) noexcept;

struct manager_secret {
  std::uint64_t words[2] = {};
  // In constant time, so that the time does not reveal how much of a guess is right.
  friend bool operator==(const manager_secret& a, const manager_secret& b) noexcept {
    return ((a.words[0] ^ b.words[0]) | (a.words[1] ^ b.words[1])) == 0;
  }
};

// The address of an object. Lies in the object's token, the shared memory that all its proxies
// refer to.
struct manager_address {
  char name[64];  // of the socket; ends with a zero
  manager_secret secret;
  std::uint64_t user;  // the user that made the manager, and listens
  std::uint64_t number;
};
static_assert(std::is_trivially_copyable_v<manager_address>);

// Takes handles of the objects that a received message names. Throws codec_error and
// std::system_error.
std::vector<detail::shared_object> adopt_objects(const message& m, std::size_t& value_size);

// The manager that this process is, if any: calls of its own objects need no connection.
class local_manager {
 public:
  virtual const std::string& name() const noexcept = 0;
  // Sets head and reply, which are a value or an exception. Throws only std::bad_alloc.
  virtual void handle(const message& request, message_head& head, detail::noting_writer& reply) = 0;

 protected:
  ~local_manager() = default;
};
local_manager* this_manager() noexcept;
void set_this_manager(local_manager& m) noexcept;

}  // namespace procpool::manager_protocol
