// SHA-256, for ids that are functions of the record and for request signatures. The digest is
// OpenSSL's, which uses the CPU's own instructions: each span's ids are digests. The HMAC is
// libsodium's, which leaves nothing of the key behind.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "engine/base/bytes.h"

namespace sidecast {

using Sha256 = std::array<unsigned char, 32>;

[[nodiscard]] Sha256 sha256(Bytes bytes) noexcept;
[[nodiscard]] Sha256 hmac_sha256(Bytes key, Bytes message) noexcept;
[[nodiscard]] inline Bytes as_bytes(const Sha256& digest) noexcept {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace sidecast
