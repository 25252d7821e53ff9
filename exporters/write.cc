#include "exporters/write.h"

#include "engine/base/utf8.h"
#include "exporters/dialects/generation_metadata.h"
#include "exporters/dialects/privacy.h"

namespace sidecast {
namespace {

// Whatever a client calls its model is in the span's name and in columns that backends index. Far
// above what any model is called, an ARN included.
constexpr std::size_t kModelBytesMax = 512;

bool has_long_model(const Trace& trace) {
  return trace.model_requested.size() > kModelBytesMax ||
         trace.model_served.size() > kModelBytesMax;
}

}  // namespace

std::uint32_t write_record(const Trace& trace, const Format& format, const PrivacyRule& privacy,
                           Arena& arena, ByteBuffer& out) {
  static const std::vector<std::string> kKeepNothing;
  const auto write_shown = [&](const Trace& shown) {
    const SpanSet spans = format.dialect->write(shown, format.dialect_options, arena);
    format.encoder->write(shown, spans, out);
    return static_cast<std::uint32_t>(spans.spans.size());
  };
  const auto write = [&](const Trace& shown) {
    const std::uint8_t groups = format.dialect_options.generation_metadata;
    if (groups == 0) return write_shown(shown);
    return write_shown(with_generation_metadata(shown, groups, arena));
  };
  if (!privacy.enabled) {
    if (!has_long_model(trace)) return write(trace);
    Trace shown(arena);
    shown = trace;  // assigned, so that its lists are the arena's
    shown.model_requested = utf8_prefix(trace.model_requested, kModelBytesMax);
    shown.model_served = utf8_prefix(trace.model_served, kModelBytesMax);
    return write(shown);
  }
  return write(redact(trace, privacy.keep == nullptr ? kKeepNothing : *privacy.keep, arena));
}

}  // namespace sidecast
