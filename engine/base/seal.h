// Sealed secrets: text that may stand in a config because only who has the key can read it.
//
//   sealed:<base64url of: version 1 | key id 4 | nonce 24 | XChaCha20-Poly1305 of the secret>
//
// The key id names the key without telling anything of it, so that a wrong key is told from a
// damaged value, and so that values under an old and a new key can stand side by side while keys
// change.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/locked_memory.h"
#include "engine/base/result.h"

namespace sidecast {

inline constexpr std::string_view kSealedPrefix = "sealed:";
// Of a secret; a service account's key has about 2.4 KB.
inline constexpr std::size_t kSecretBytesMax = 64U << 10U;

// Keys, newest first: it seals, and all open. In locked memory. Immutable, shared by threads.
class SealKeys {
 public:
  // One key a line, "sidecast-key:<base64url of 32 bytes>"; empty lines and those after # are
  // left out. An Error quotes nothing of the text.
  [[nodiscard]] static Result<SealKeys> parse(std::string_view text);
  // A new random key as one line of such a text.
  [[nodiscard]] static LockedBytes new_key_line();

  [[nodiscard]] Result<std::string> seal(std::string_view secret) const;
  // An Error says whether the key is missing or the value was damaged.
  [[nodiscard]] Result<LockedBytes> open(std::string_view sealed) const;

 private:
  using KeyId = std::array<char, 4>;
  struct Key {
    LockedBytes bytes;
    KeyId id{};
  };
  std::vector<Key> keys_;  // not empty
};

}  // namespace sidecast
