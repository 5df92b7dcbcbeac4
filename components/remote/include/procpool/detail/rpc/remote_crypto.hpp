// The cryptography that remote managers need: a message authentication code, and the comparison of
// two codes. The main library has none: procpool::remote, a separate library, takes both from
// OpenSSL. No state; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "procpool/export.hpp"

namespace procpool::detail {

using mac_bytes = std::array<std::byte, 32>;
using byte_span = std::span<const std::byte>;

struct remote_crypto {
  // HMAC-SHA-256 of the parts, one after the other. Returns false if it cannot be computed.
  bool (*mac)(byte_span key, std::span<const byte_span> parts, mac_bytes& out) noexcept;
  // Takes the same time wherever the codes differ.
  bool (*equal)(const mac_bytes& a, const mac_bytes& b) noexcept;
  // Overwrites data that must not stay in memory.
  void (*wipe)(void* memory, std::size_t size) noexcept;
};

// Defined in procpool::remote, so only programs that link it can use it.
PROCPOOL_EXPORT const remote_crypto& openssl_crypto() noexcept;

}  // namespace procpool::detail
