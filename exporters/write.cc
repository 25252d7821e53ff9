#include "exporters/write.h"

#include "exporters/dialects/generation_metadata.h"
#include "exporters/dialects/privacy.h"

namespace sidecast {

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
  if (!privacy.enabled) return write(trace);
  return write(redact(trace, privacy.keep == nullptr ? kKeepNothing : *privacy.keep, arena));
}

}  // namespace sidecast
