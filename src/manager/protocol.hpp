// What a manager and its clients say to each other, over a stream socket with a secret name:
//
//   client                                 manager (a thread for each connection)
//   secret
//   message make | call                 -> runs it
//                                       <- message value | exception
//   message taken, if objects were named   (until then the manager keeps them)
//   ... and the next request on the same connection
//
//   message := head bytes:length          bytes := what was encoded [list of shared objects]
//
// A manager that cannot serve a client says so by an exception, and closes the connection.
//
// Both ends belong to one build of one program. A client knows the manager by the user who has made
// it: a name of this kind can be taken by anybody once its manager is dead. The manager knows a
// client by the secret, whoever's process it is: a program may drop its rights. Neither believes a
// length: memory is taken as bytes arrive. The end of the connection is the end of whatever was
// under way on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "procpool/detail/rpc/managed.hpp"
#include "procpool/detail/shared/shared_object.hpp"

namespace procpool::sync {

enum class message_kind : std::uint32_t { make = 1, call = 2, value = 3, exception = 4, taken = 5 };

inline constexpr std::uint32_t message_magic = 0x70'70'6d'01;

struct message_head {
  std::uint32_t magic = message_magic;
  message_kind kind = message_kind::value;
  std::uint32_t names_objects = 0;  // a list of them is at the end
  std::uint32_t reserved = 0;
  std::uint64_t number = 0;       // which of the manager's objects
  detail::object_ref token = {};  // make: what keeps it
  std::uint64_t code = 0;         // of a detail::make_thunk or detail::call_thunk
  std::uint64_t length = 0;
};
static_assert(std::is_trivially_copyable_v<message_head> && sizeof(message_head) == 48);

struct message {
  message_head head;
  std::vector<std::byte> bytes;
};

// False when the other end is gone, or does not keep to this. Throws std::bad_alloc.
bool send(int socket, message_head head, const detail::wire_writer& bytes) noexcept;
bool send(int socket, message_kind kind) noexcept;
// Nothing may follow it before it is answered.
bool receive(int socket, message& m);
// The message `taken`, which the next request may follow at once.
bool receive_taken(int socket) noexcept;

struct manager_secret {
  std::uint64_t words[2] = {};
  // In a time that does not tell how much is right.
  friend bool operator==(const manager_secret& a, const manager_secret& b) noexcept {
    return ((a.words[0] ^ b.words[0]) | (a.words[1] ^ b.words[1])) == 0;
  }
};

// Where an object is: lies in the shared memory that all its proxies refer to.
struct manager_address {
  char name[64];  // of the socket; ends with a zero
  manager_secret secret;
  std::uint64_t user;  // who has made it, and listens
  std::uint64_t number;
};
static_assert(std::is_trivially_copyable_v<manager_address>);

// Objects that a message names, held by who has received it. Throws codec_error and
// std::system_error.
std::vector<detail::shared_object> adopt_objects(const message& m, std::size_t& value_size);

// The one that this process is, if it is a manager: its own objects need no connection.
class local_manager {
 public:
  virtual const std::string& name() const noexcept = 0;
  // Fills head and reply, which are a value or an exception. Throws nothing but std::bad_alloc.
  virtual void handle(const message& request, message_head& head,
                      detail::message_writer& reply) = 0;

 protected:
  ~local_manager() = default;
};
local_manager* this_manager() noexcept;
void set_this_manager(local_manager& m) noexcept;

}  // namespace procpool::sync
