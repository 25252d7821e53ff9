// How `sidecast tail` and a running engine talk: over a socket of packets in the engine's own
// directory, which only the engine's user and root may enter.
//
//   tool   -> engine   one Wish, once
//   engine -> tool     one JSON object a record:
//     {"missed":n,"account":"","process":"","pid":n,"lane":n,"sequence":n,"kind":"generation|span",
//      "http_status":n,"failed":b,"aborted":b,"shed":b,"content":"redacted|shown|left out",
//      "content_bytes":n,"destinations":[{"name":"","fate":"routed|filtered|sampled out"}],
//      "destinations_left_out":n,"record":{}}
//   `missed` counts the records that matched and were not shown, since the tool asked. `record` is
//   the JSON of `trace_json` (exporters/encode); absent when even without content it is too large.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/result.h"

namespace sidecast::tail {

inline constexpr std::uint64_t kMagic = 0x31304C4941544453ULL;  // "SDTAIL01" in little-endian order
inline constexpr std::size_t kTextBytesMax = 256;
// Below what a socket takes at once by default.
inline constexpr std::size_t kPacketBytesMax = 64U << 10U;
inline constexpr std::uint32_t kRateDefault = 20;
inline constexpr std::uint32_t kRateMax = 1000;

inline constexpr std::uint32_t kShowContent = 1;  // where no privacy mode forbids it
inline constexpr std::uint32_t kFailedOnly = 2;

// What to show. Texts end at the first NUL; empty = any.
struct Wish {
  using Chars = std::array<char, kTextBytesMax>;
  std::uint64_t magic = kMagic;
  std::uint32_t flags = 0;
  std::uint32_t rate = kRateDefault;  // records a second
  Chars destination{};                // routed to it, by its whole name
  Chars account{};
  Chars model{};  // asked for or served; its beginning is enough
  Chars session{};
};
static_assert(sizeof(Wish) == 16 + 4 * kTextBytesMax);

[[nodiscard]] Text text_of(const Wish::Chars& chars) noexcept;
// False: it is too long.
[[nodiscard]] bool set_text(Wish::Chars& chars, Text text) noexcept;

// Descriptors of the socket; the caller closes them. listen_at() replaces what an earlier engine
// left there.
[[nodiscard]] Result<int> listen_at(const std::string& directory);
[[nodiscard]] Result<int> connect_to(const std::string& directory);

}  // namespace sidecast::tail
