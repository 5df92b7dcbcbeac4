// What both sides of a remote manager make of their options, and how a client is known.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "procpool/remote.hpp"
#include "remote/channel.hpp"
#include "remote/net_socket.hpp"

namespace procpool::remote {

// Names a client to its server. Random; who hears it needs the key still.
using session_id = std::array<std::byte, 16>;

// As they are. Throws std::invalid_argument.
remote_server_options checked(remote_server_options options);
remote_client_options checked(remote_client_options options);

channel_limits limits_of(const remote_server_options& options);
channel_limits limits_of(const remote_client_options& options);

// A year at most.
io_deadline deadline_in(duration span) noexcept;

struct welcome {
  session_id client{};
  std::uint64_t max_message = 0;
};
transfer send_welcome(channel& c, const session_id& client, std::size_t max_message) noexcept;
// False if the message is none.
bool read_welcome(const message& m, welcome& w) noexcept;

}  // namespace procpool::remote
