// The cryptography that remote managers need: a message authentication code, and the comparison of
// two. The library's own code has none: procpool::remote, a library of its own, takes both from
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
  // HMAC-SHA-256 of the parts, one after the other. False if it cannot be computed.
  bool (*mac)(byte_span key, std::span<const byte_span> parts, mac_bytes& out) noexcept;
  // Takes the same time wherever they differ.
  bool (*equal)(const mac_bytes& a, const mac_bytes& b) noexcept;
  // Overwrites what must not stay in memory.
  void (*wipe)(void* memory, std::size_t size) noexcept;
};

// Defined in procpool::remote: a program that does not link it cannot name it.
PROCPOOL_EXPORT const remote_crypto& openssl_crypto() noexcept;

}  // namespace procpool::detail
