#include "engine/base/base64.h"

#include <sodium.h>

namespace sidecast {
namespace {

// libsodium's bytes are unsigned.
const unsigned char* unsigned_bytes(Bytes bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

std::string encode(Bytes bytes, int variant) {
  std::string text(sodium_base64_encoded_len(bytes.size(), variant), '\0');
  sodium_bin2base64(text.data(), text.size(), unsigned_bytes(bytes), bytes.size(), variant);
  text.pop_back();  // the terminating zero
  return text;
}

}  // namespace

std::string to_base64(Bytes bytes) {
  return encode(bytes, sodium_base64_VARIANT_ORIGINAL);
}

std::string to_base64url(Bytes bytes) {
  return encode(bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

std::optional<std::string> from_base64url(Text text) {
  std::string bytes(text.size(), '\0');
  std::size_t size = 0;
  const char* end = nullptr;
  const int result = sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(),
                                       text.data(), text.size(), nullptr, &size, &end,
                                       sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  if (result != 0 || end != text.data() + text.size()) return std::nullopt;
  bytes.resize(size);
  return bytes;
}

std::optional<Bytes> from_base64(Text text, Arena& arena) {
  char* const bytes = arena.allocate(text.size());
  std::size_t size = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(bytes), text.size(), text.data(),
                        text.size(), nullptr, &size, nullptr,
                        sodium_base64_VARIANT_ORIGINAL) != 0) {
    return std::nullopt;
  }
  return Bytes(bytes, size);
}

}  // namespace sidecast
