// What the benchmarks of exporters/ work on: one chat with messages of a given size and 32 free
// attributes, filled with real text (../shared/data or $SIDECAST_DATA) or, where that is missing,
// with words drawn at a fixed seed, which compress a little better.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "exporters/exporter.h"

namespace sidecast::bench {

inline constexpr std::size_t kMessageBytes[] = {1'400, 8'192, 65'536};
inline constexpr std::size_t kAttributeCount = 32;
inline constexpr std::size_t kMessageCount = 4;

// A trace and the memory it views. `index` varies text and ids, so that a batch of several does not
// compress like one record repeated.
class Payload {
 public:
  Payload(std::size_t message_bytes, std::size_t index);
  [[nodiscard]] const Trace& trace() const noexcept { return *trace_; }

 private:
  Arena arena_;
  std::unique_ptr<Trace> trace_;
};

// Enough payloads for a batch of about a megabyte, at least four.
[[nodiscard]] std::vector<std::unique_ptr<Payload>> make_batch(std::size_t message_bytes);

// Each as `dialect` and `encoder` write it.
[[nodiscard]] std::vector<std::string> encode_batch(
    const std::vector<std::unique_ptr<Payload>>& batch, const DialectEntry& dialect,
    const Encoder& encoder);

}  // namespace sidecast::bench
