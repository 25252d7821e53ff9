// One record as `sidecast tail` shows it to people. Pure.
#pragma once

#include <string>
#include <string_view>

namespace sidecast {

class Style;

// `packet` is what the engine said (engine/tail/wish.h), a JSON object. A line or, with content,
// several, each with its newline; what cannot be read says so.
[[nodiscard]] std::string tail_lines(std::string_view packet, const Style& style);
// Records that matched and were not shown, as that packet has it.
[[nodiscard]] std::uint64_t tail_missed(std::string_view packet);

}  // namespace sidecast
