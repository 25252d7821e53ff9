// The way back from Compressor's bytes, for batches that waited on disk. Hostile until checked: the
// size of what comes out is given, not believed.
#pragma once

#include <cstddef>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/result.h"
#include "exporters/exporter.h"

namespace sidecast {

// Exactly `size` bytes, out of one gzip member or zstd frame (or a copy for kNone). An Error when
// `packed` is damaged or holds more or less.
[[nodiscard]] Result<std::string> decompress(Compression codec, Bytes packed, std::size_t size);

}  // namespace sidecast
