// Times as text: ISO 8601 in UTC with milliseconds, "2026-08-21T09:15:00.250Z".
#pragma once

#include <array>
#include <cstddef>

#include "engine/base/bytes.h"
#include "engine/base/clock.h"

namespace sidecast {

inline constexpr std::size_t kIsoTimeBytes = 48;  // years far from ours take more digits

// The result views `text`.
[[nodiscard]] Text iso_time(Timestamp time, std::array<char, kIsoTimeBytes>& text) noexcept;

}  // namespace sidecast
