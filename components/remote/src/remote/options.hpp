// The options of both sides of a remote manager, checked and converted, and the identity of a
// client.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "procpool/remote.hpp"
#include "remote/channel.hpp"
#include "remote/net_socket.hpp"

namespace procpool::remote {

// Names a client to its server. Random; an eavesdropper that learns it still needs the key.
using session_id = std::array<std::byte, 16>;

// Returns the options unchanged. Throws std::invalid_argument.
remote_server_options checked(remote_server_options options);
remote_client_options checked(remote_client_options options);

channel_limits limits_of(const remote_server_options& options);
channel_limits limits_of(const remote_client_options& options);

// The time after `span`, a year at most.
io_deadline deadline_in(duration span) noexcept;

struct welcome {
  session_id client{};
  std::uint64_t max_message = 0;
};
transfer send_welcome(channel& c, const session_id& client, std::size_t max_message) noexcept;
// Returns false if the message is no welcome.
bool read_welcome(const message& m, welcome& w) noexcept;

}  // namespace procpool::remote
