// What a destination cannot take is cut here, where every dialect's spans pass, so that it is we
// who choose what is lost and say so: backends cut in silence, in the middle of a character or of
// JSON.
#pragma once

#include <cstddef>

#include "exporters/exporter.h"

namespace sidecast {

// Events are held to the same bounds as their span.
void apply_caps(const AttributeCaps& caps, Span& span, Arena& arena);

// At most `bytes_max` bytes of valid UTF-8 that end in "…[n bytes cut]". JSON stays JSON: its
// longest texts are cut first. Shorter texts pass as they are. A bound below kCutBytesMin counts as
// that.
inline constexpr std::size_t kCutBytesMin = 64;
[[nodiscard]] Text cut_value(Text text, std::size_t bytes_max, Arena& arena);

}  // namespace sidecast
