// Sizes and durations as people write them: "512MiB", "1s", "500ms". Pure; nothing for what is not
// one or does not fit.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sidecast {

// Digits, then B, KiB, MiB, GiB or TiB (powers of 1024) or KB, MB, GB or TB (powers of 1000).
// Without a unit the number is bytes.
[[nodiscard]] std::optional<std::uint64_t> parse_size_bytes(std::string_view text) noexcept;

// Digits, then ms, s, m, h or d. The unit is required: a bare number hides a guess.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(
    std::string_view text) noexcept;

// The same, for messages: in the largest unit that divides the value.
[[nodiscard]] std::string size_text(std::uint64_t bytes);
[[nodiscard]] std::string duration_text(std::chrono::milliseconds duration);

}  // namespace sidecast
