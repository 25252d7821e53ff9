#include "engine/base/sha256.h"

#include <sodium.h>

namespace sidecast {
namespace {

const unsigned char* octets(Bytes bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

}  // namespace

Sha256 sha256(Bytes bytes) noexcept {
  Sha256 digest;
  crypto_hash_sha256(digest.data(), octets(bytes), bytes.size());
  return digest;
}

Sha256 hmac_sha256(Bytes key, Bytes message) noexcept {
  // The streaming form: the one-shot function takes keys of 32 bytes only.
  crypto_auth_hmacsha256_state state;
  Sha256 digest;
  crypto_auth_hmacsha256_init(&state, octets(key), key.size());
  crypto_auth_hmacsha256_update(&state, octets(message), message.size());
  crypto_auth_hmacsha256_final(&state, digest.data());
  sodium_memzero(&state, sizeof state);
  return digest;
}

}  // namespace sidecast
