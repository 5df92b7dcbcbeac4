// procpool::remote: the HMAC-SHA-256 of OpenSSL, for remote managers.
#include "procpool/detail/rpc/remote_crypto.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <memory>

namespace procpool::detail {
namespace {

using mac_context = std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)>;

// Looked up once and never freed, as threads may still need it when the program ends.
EVP_MAC* hmac() noexcept {
  static EVP_MAC* const found = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  return found;
}

const unsigned char* bytes_of(byte_span span) noexcept {
  return reinterpret_cast<const unsigned char*>(span.data());
}

bool compute_mac(byte_span key, std::span<const byte_span> parts, mac_bytes& out) noexcept {
  if (hmac() == nullptr) return false;
  const mac_context context(EVP_MAC_CTX_new(hmac()), &EVP_MAC_CTX_free);
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  if (context == nullptr ||
      EVP_MAC_init(context.get(), bytes_of(key), key.size(), parameters) != 1) {
    return false;
  }
  for (const byte_span part : parts) {
    if (EVP_MAC_update(context.get(), bytes_of(part), part.size()) != 1) return false;
  }
  std::size_t size = 0;
  return EVP_MAC_final(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size,
                       out.size()) == 1 &&
         size == out.size();
}

bool equal_macs(const mac_bytes& a, const mac_bytes& b) noexcept {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void wipe(void* memory, std::size_t size) noexcept { OPENSSL_cleanse(memory, size); }

}  // namespace

const remote_crypto& openssl_crypto() noexcept {
  static constexpr remote_crypto functions{&compute_mac, &equal_macs, &wipe};
  return functions;
}

}  // namespace procpool::detail
