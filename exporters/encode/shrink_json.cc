#include <span>

#include "exporters/encode/shorten.h"
#include "exporters/encode/shrink.h"

namespace sidecast {
namespace {

bool shrink_json(Bytes encoded, std::size_t bytes_max, std::span<const Text> kept,
                 ByteBuffer& out) {
  const std::size_t start = out.size();
  if (shorten_json(encoded, bytes_max, kept, out) && out.size() - start < encoded.size()) {
    return true;
  }
  out.truncate(start);
  return false;
}

}  // namespace

bool shrink_otlp_json(Bytes encoded, std::size_t bytes_max, ByteBuffer& out) {
  // A key that is cut could equal another one.
  static constexpr Text kKept[] = {"key", "name", "traceId", "spanId", "parentSpanId"};
  return shrink_json(encoded, bytes_max, kKept, out);
}

bool shrink_trace_json(Bytes encoded, std::size_t bytes_max, ByteBuffer& out) {
  static constexpr Text kKept[] = {"id", "sessionId", "userId"};
  return shrink_json(encoded, bytes_max, kKept, out);
}

}  // namespace sidecast
