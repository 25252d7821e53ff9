#include "engine/base/seal.h"

#include <algorithm>
#include <cstring>

#include <sodium.h>

#include "engine/base/assert.h"
#include "engine/base/base64.h"
#include "engine/base/bytes.h"

namespace sidecast {
namespace {

constexpr std::string_view kKeyPrefix = "sidecast-key:";
constexpr std::string_view kIdContext = "sidecast key id";
constexpr char kVersion = 1;
constexpr std::size_t kKeyBytes = crypto_aead_xchacha20poly1305_ietf_KEYBYTES;
constexpr std::size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr std::size_t kHeadBytes = 1 + 4;  // version and key id, authenticated as well
constexpr std::size_t kKeysMax = 16;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());  // bytes as libsodium has them
}
unsigned char* bytes_of(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());  // bytes as libsodium has them
}

void set_up_sodium() {
  // Thread-safe, and cheap when it was done before.
  SIDECAST_ASSERT(sodium_init() >= 0);
}

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  const std::size_t first = line.find_first_not_of(kBlank);
  if (first == line.npos) return {};
  return line.substr(first, line.find_last_not_of(kBlank) - first + 1);
}

// The key of one line; empty when it is none.
LockedBytes key_of(std::string_view line) {
  if (!line.starts_with(kKeyPrefix)) return {};
  const std::string_view text = line.substr(kKeyPrefix.size());
  LockedBytes key(kKeyBytes);
  std::size_t size = 0;
  const char* end = nullptr;
  const int result = sodium_base642bin(key.bytes(), kKeyBytes, text.data(), text.size(), nullptr,
                                       &size, &end, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  if (result != 0 || size != kKeyBytes || end != text.data() + text.size()) return {};
  return key;
}

}  // namespace

Result<SealKeys> SealKeys::parse(std::string_view text) {
  set_up_sodium();
  SealKeys keys;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    Key key{.bytes = key_of(line)};
    if (key.bytes.size() == 0) {
      return fail("line " + std::to_string(number) +
                  " holds no key; `sidecast seal --new-key FILE` makes one");
    }
    SIDECAST_ASSERT(keys.keys_.size() <= kKeysMax);
    if (keys.keys_.size() == kKeysMax) {
      return fail("more than " + std::to_string(kKeysMax) + " keys; remove old ones");
    }
    std::array<unsigned char, crypto_generichash_BYTES> digest{};
    crypto_generichash(digest.data(), digest.size(), bytes_of(kIdContext), kIdContext.size(),
                       key.bytes.bytes(), kKeyBytes);
    std::memcpy(key.id.data(), digest.data(), key.id.size());
    keys.keys_.push_back(std::move(key));
  }
  if (keys.keys_.empty()) return fail("there is no key in it");
  return keys;
}

LockedBytes SealKeys::new_key_line() {
  set_up_sodium();
  LockedBytes key(kKeyBytes);
  randombytes_buf(key.bytes(), kKeyBytes);
  constexpr int kVariant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
  const std::size_t text_size = sodium_base64_encoded_len(kKeyBytes, kVariant);  // with its zero
  LockedBytes line(kKeyPrefix.size() + text_size);
  std::memcpy(line.data(), kKeyPrefix.data(), kKeyPrefix.size());
  sodium_bin2base64(line.data() + kKeyPrefix.size(), text_size, key.bytes(), kKeyBytes, kVariant);
  line.data()[line.size() - 1] = '\n';
  return line;
}

Result<std::string> SealKeys::seal(std::string_view secret) const {
  if (secret.empty()) return fail("there is nothing to seal");
  if (secret.size() > kSecretBytesMax) {
    return fail("a secret of more than " + std::to_string(kSecretBytesMax) + " bytes");
  }
  const Key& key = keys_.front();
  std::string value;
  value += kVersion;
  value.append(key.id.data(), key.id.size());
  value.resize(kHeadBytes + kNonceBytes + secret.size() + kTagBytes);
  unsigned char* const nonce = bytes_of(value) + kHeadBytes;
  randombytes_buf(nonce, kNonceBytes);
  unsigned long long written = 0;
  crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + kNonceBytes, &written, bytes_of(secret),
                                             secret.size(), bytes_of(value), kHeadBytes, nullptr,
                                             nonce, key.bytes.bytes());
  SIDECAST_ASSERT(written == secret.size() + kTagBytes);
  return std::string(kSealedPrefix) + to_base64url(value);
}

Result<LockedBytes> SealKeys::open(std::string_view sealed) const {
  if (!sealed.starts_with(kSealedPrefix)) return fail("it is not a sealed value");
  const auto decoded = from_base64url(sealed.substr(kSealedPrefix.size()));
  if (!decoded || decoded->size() <= kHeadBytes + kNonceBytes + kTagBytes ||
      decoded->front() != kVersion ||
      decoded->size() > kHeadBytes + kNonceBytes + kTagBytes + kSecretBytesMax) {
    return fail("the sealed value is damaged; seal the secret again");
  }
  const std::string_view value = *decoded;
  const auto key = std::find_if(keys_.begin(), keys_.end(), [value](const Key& each) {
    return value.substr(1, each.id.size()) == std::string_view(each.id.data(), each.id.size());
  });
  if (key == keys_.end()) return fail("it was sealed under a key that is not here");
  const std::string_view nonce = value.substr(kHeadBytes, kNonceBytes);
  const std::string_view cipher = value.substr(kHeadBytes + kNonceBytes);
  LockedBytes secret(cipher.size() - kTagBytes);
  const int result = crypto_aead_xchacha20poly1305_ietf_decrypt(
      secret.bytes(), nullptr, nullptr, bytes_of(cipher), cipher.size(), bytes_of(value),
      kHeadBytes, bytes_of(nonce), key->bytes.bytes());
  if (result != 0) return fail("the sealed value is damaged; seal the secret again");
  return secret;
}

}  // namespace sidecast
