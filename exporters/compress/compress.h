// Codecs: gzip (ISA-L, always exactly one member) and zstd (level 1, window <= 8 MiB, one frame).
// Compression is most of the engine's cost, so it runs on workers, with one Compressor each whose
// contexts are reused; never one per destination, never on the delivery loop.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "exporters/exporter.h"

namespace sidecast {

class Compressor {
 public:
  Compressor();
  ~Compressor();
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  // The concatenation of `pieces`, compressed (or copied for kNone). Not thread-safe.
  [[nodiscard]] std::string compress(Compression codec, std::span<const Bytes> pieces);

 private:
  struct Contexts;
  std::unique_ptr<Contexts> contexts_;
};

// The Content-Encoding token: "gzip", "zstd", or "" for none.
[[nodiscard]] std::string_view content_encoding(Compression codec) noexcept;

}  // namespace sidecast
