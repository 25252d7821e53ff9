#include "engine/normalise/binary.h"

#include <algorithm>
#include <array>

namespace sidecast {
namespace {

constexpr std::size_t kLookedAt = 1024;  // bytes
constexpr std::size_t kOddShare = 10;    // one odd byte in so many: no text

struct Signature {
  std::size_t offset;
  Text bytes;
  Text mime_type;
};

// Signatures with zeros in them are spelled with their size.
constexpr std::array<Signature, 21> kSignatures = {{
    {0, "ID3", "audio/mpeg"},
    {0, "\xFF\xFB", "audio/mpeg"},
    {0, "\xFF\xF3", "audio/mpeg"},
    {0, "\xFF\xF2", "audio/mpeg"},
    {0, "\xFF\xF1", "audio/aac"},
    {0, "OggS", "audio/ogg"},
    {0, "fLaC", "audio/flac"},
    {8, "WAVE", "audio/wav"},
    {8, "WEBP", "image/webp"},
    {0, "\x89PNG\r\n", "image/png"},
    {0, "\xFF\xD8\xFF", "image/jpeg"},
    {0, "GIF89a", "image/gif"},
    {0, "GIF87a", "image/gif"},
    {4, "ftypM4A", "audio/mp4"},
    {4, "ftyp", "video/mp4"},
    {0, "\x1A\x45\xDF\xA3", "video/webm"},
    {0, "%PDF-", "application/pdf"},
    {0, "PK\x03\x04", "application/zip"},
    {0, "\x1F\x8B", "application/gzip"},
    {0, "\x28\xB5\x2F\xFD", "application/zstd"},
    {0, Text("\x00\x00\x01\x00", 4), "image/x-icon"},
}};

// No text holds these, whatever its encoding.
bool is_odd(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != '\x1B') ||
         byte == 0x7F;
}

}  // namespace

std::optional<Text> binary_type(Bytes bytes) noexcept {
  const Bytes head = bytes.substr(0, kLookedAt);
  const auto odd = static_cast<std::size_t>(std::count_if(head.begin(), head.end(), &is_odd));
  if (odd == 0) return std::nullopt;  // a text may well begin like a file
  for (const Signature& signature : kSignatures) {
    const std::size_t at = signature.offset;
    if (head.size() > at && head.substr(at, signature.bytes.size()) == signature.bytes) {
      return signature.mime_type;
    }
  }
  if (odd > head.size() / kOddShare) return "application/octet-stream";
  return std::nullopt;
}

PartKind kind_of_mime_type(Text mime_type) noexcept {
  const Text family = mime_type.substr(0, mime_type.find('/'));
  if (family == "image") return PartKind::kImage;
  if (family == "audio") return PartKind::kAudio;
  if (family == "video") return PartKind::kVideo;
  return PartKind::kFile;
}

}  // namespace sidecast
