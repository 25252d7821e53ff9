// The opt-in metadata groups of OpenRouter's Broadcast (reference "destinations-native" §2.2 and
// §2.5): facts of the generation as further metadata, `openrouter_generation.NAME`, in whatever
// place a dialect has for the user's own. As far as they are known: of 52 announced fields these
// are the ones that have been seen and that a record can tell.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/base/result.h"
#include "engine/model/trace.h"

namespace sidecast {

inline constexpr std::uint8_t kGenerationCost = 1;      // usage, usage_upstream
inline constexpr std::uint8_t kGenerationIdentity = 2;  // external_user; privacy mode keeps it
inline constexpr std::uint8_t kGenerationRequestContext = 4;  // tokens, streamed, is_byok, model

// "cost,identity,request_context", any of them; empty = none.
[[nodiscard]] Result<std::uint8_t> parse_generation_metadata(std::string_view text);

// The trace with these groups among its metadata, where the user has no key of that name. Views
// into `trace`; lives as long as `arena`.
[[nodiscard]] Trace with_generation_metadata(const Trace& trace, std::uint8_t groups, Arena& arena);

}  // namespace sidecast
