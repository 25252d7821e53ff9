#include "engine/base/sha256.h"

#include <memory>

#include <openssl/evp.h>
#include <sodium.h>

#include "engine/base/assert.h"

namespace sidecast {
namespace {

const unsigned char* octets(Bytes bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

// Looked up once: EVP_sha256() would be looked up again at each use.
const EVP_MD* algorithm() noexcept {
  static const std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> fetched(
      EVP_MD_fetch(nullptr, "SHA256", nullptr), &EVP_MD_free);
  return fetched.get();
}

}  // namespace

Sha256 sha256(Bytes bytes) noexcept {
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(
      EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  Sha256 digest;
  const bool is_done = EVP_DigestInit_ex2(context.get(), algorithm(), nullptr) == 1 &&
                       EVP_DigestUpdate(context.get(), octets(bytes), bytes.size()) == 1 &&
                       EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1;
  SIDECAST_ASSERT(is_done);  // only a broken OpenSSL, or no memory at all, refuses
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
