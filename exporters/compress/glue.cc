#include "exporters/compress/glue.h"

#include <zlib.h>

namespace sidecast {
namespace {

// RFC 1952: header of ten bytes when no flag is set, deflate stream, CRC-32 and size of what it
// holds.
constexpr std::size_t kHeaderBytes = 10;
constexpr std::size_t kTailBytes = 8;

std::uint32_t little_endian(Bytes bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8U | static_cast<unsigned char>(bytes[i]);
  return value;
}

void append_little_endian(std::string& out, std::uint32_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xFFU);
}

}  // namespace

bool glue_gzip(Bytes prefix, Bytes member, GluedGzip& glued) {
  if (member.size() < kHeaderBytes + kTailBytes || prefix.size() > kGluedPrefixBytesMax ||
      !member.starts_with("\x1f\x8b\x08") || member[3] != '\0') {
    return false;
  }
  const std::uint32_t body_crc = little_endian(member.substr(member.size() - 8));
  const std::uint32_t body_size = little_endian(member.substr(member.size() - 4));
  glued.head = member.substr(0, kHeaderBytes);
  // RFC 1951 §3.2.4: a stored block that is not the last one. It ends on a byte's border, and the
  // stream after it refers back to nothing before its own beginning.
  glued.head += '\0';
  const auto size = static_cast<std::uint32_t>(prefix.size());
  append_little_endian(glued.head, size, 2);
  append_little_endian(glued.head, ~size, 2);
  glued.head += prefix;
  glued.middle = member.substr(kHeaderBytes, member.size() - kHeaderBytes - kTailBytes);
  const auto prefix_crc =
      crc32(0, reinterpret_cast<const Bytef*>(prefix.data()), static_cast<uInt>(prefix.size()));
  glued.tail.clear();
  append_little_endian(glued.tail,
                       static_cast<std::uint32_t>(
                           crc32_combine(prefix_crc, body_crc, static_cast<z_off_t>(body_size))),
                       4);
  append_little_endian(glued.tail, body_size + size, 4);
  return true;
}

}  // namespace sidecast
