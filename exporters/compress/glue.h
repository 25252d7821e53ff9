// Putting a few bytes in front of what is compressed already, without touching it: an envelope that
// differs from destination to destination (it may hold a key) before a body that many share. The
// result is one ordinary gzip member, which every reader takes; several members in a row are not.
#pragma once

#include <string>

#include "engine/base/bytes.h"

namespace sidecast {

// head + middle + tail is the gzip of prefix + what `member` holds. `middle` is a view into it.
struct GluedGzip {
  std::string head;
  Bytes middle;
  std::string tail;
};

inline constexpr std::size_t kGluedPrefixBytesMax = 65'535;

// `member` is one gzip member as Compressor makes it (no optional fields); `prefix` is at most
// kGluedPrefixBytesMax bytes. False: it is not, or too short to be one.
[[nodiscard]] bool glue_gzip(Bytes prefix, Bytes member, GluedGzip& glued);

}  // namespace sidecast
