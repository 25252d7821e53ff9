#include "engine/normalise/event_stream.h"

#include <cstdint>

#include <isa-l/crc.h>

#include "engine/base/base64.h"

namespace sidecast {
namespace {

// Total length, length of the headers, their checksum; behind the payload one over all before it.
constexpr std::size_t kPreludeBytes = 12;
constexpr std::size_t kChecksumBytes = 4;
// Kinds of header values; of all others only the size matters.
constexpr unsigned kBytesValue = 6;
constexpr unsigned kTextValue = 7;

std::uint32_t number_at(Bytes bytes, std::size_t at, std::size_t size) noexcept {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < size; ++i) {
    number = number << 8U | static_cast<unsigned char>(bytes[at + i]);
  }
  return number;
}

std::uint32_t checksum(Bytes bytes) noexcept {
  return crc32_gzip_refl(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

// Takes one header off `headers`; false when they are at their end, or are none.
bool take_header(Bytes& headers, Text& name, Text& value) noexcept {
  constexpr std::size_t kSizes[] = {0, 0, 1, 2, 4,
                                    8, 0, 0, 8, 16};  // of the kinds without a length
  if (headers.empty()) return false;
  std::size_t at = 1 + number_at(headers, 0, 1);
  if (at + 1 > headers.size()) return false;
  name = headers.substr(1, at - 1);
  const unsigned kind = number_at(headers, at++, 1);
  if (kind >= std::size(kSizes)) return false;
  std::size_t size = kSizes[kind];
  if (kind == kBytesValue || kind == kTextValue) {
    if (at + 2 > headers.size()) return false;
    size = number_at(headers, at, 2);
    at += 2;
  }
  if (at + size > headers.size()) return false;
  value = headers.substr(at, size);
  headers.remove_prefix(at + size);
  return true;
}

// {"bytes":"<base64>","p":"<padding>"} is how InvokeModel wraps a model's events; anything else is
// the event itself.
Text unwrap(Text payload, Arena& arena) {
  constexpr Text kBytes = "\"bytes\":";
  std::size_t at = payload.substr(0, 64).find(kBytes);
  if (at == Text::npos) return payload;
  at = payload.find_first_not_of(" \t\r\n", at + kBytes.size());
  if (at == Text::npos || payload[at] != '"') return payload;
  const std::size_t end = payload.find('"', ++at);
  if (end == Text::npos) return payload;
  const Text encoded = payload.substr(at, end - at);
  return from_base64(encoded, arena).value_or(payload);
}

}  // namespace

std::optional<AwsEvent> EventStreamReader::next(Arena& arena) {
  if (!looks_like_event_stream(rest_)) return std::nullopt;
  const std::size_t total = number_at(rest_, 0, 4);
  const std::size_t headers_size = number_at(rest_, 4, 4);
  const bool fits = total <= rest_.size() && total >= kPreludeBytes + kChecksumBytes &&
                    headers_size <= total - kPreludeBytes - kChecksumBytes;
  if (!fits) return std::nullopt;
  const Bytes checked = rest_.substr(0, total - kChecksumBytes);
  if (checksum(checked) != number_at(rest_, checked.size(), 4)) return std::nullopt;
  rest_.remove_prefix(total);

  AwsEvent event;
  Bytes headers = checked.substr(kPreludeBytes, headers_size);
  Text name;
  Text value;
  while (take_header(headers, name, value)) {
    if (name == ":event-type") event.name = value;
    if (name == ":exception-type" || name == ":error-code") {
      event.name = value;
      event.is_error = true;
    }
    if (name == ":error-message") event.error_message = value;
  }
  event.payload = unwrap(checked.substr(kPreludeBytes + headers_size), arena);
  return event;
}

bool looks_like_event_stream(Bytes bytes) noexcept {
  return bytes.size() >= kPreludeBytes &&
         checksum(bytes.substr(0, kPreludeBytes - 4)) == number_at(bytes, kPreludeBytes - 4, 4);
}

}  // namespace sidecast
