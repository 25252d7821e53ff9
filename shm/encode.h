// Fields to bytes: what a gateway hands over in the C structs, laid out as a record (layout.h).
// The opposite way is record.h. Nothing here allocates, throws or makes a system call.
#pragma once

#include <cstdint>

#include "shm/include/sidecast.h"

namespace sidecast::shm {

// How much of a record is written. Shed: no bodies, but their sizes and the ends of the response.
enum class Detail : std::uint8_t { kWhole, kShed };

// What stays of the response when bodies are shed: there stand model, usage and finish reason.
inline constexpr std::uint64_t kShedHeadBytes = 2u << 10;
inline constexpr std::uint64_t kShedTailBytes = 4u << 10;
// `trace` and attributes are kept, each whole or not at all, within this.
inline constexpr std::uint64_t kShedJsonBytes = 8u << 10;
inline constexpr std::uint64_t kShedErrorMessageBytes = 2u << 10;

// The first look at a record: everything that can be wrong with it, and its sizes.
struct Measure {
  bool is_valid = false;          // times and pointers make sense
  std::uint64_t whole_bytes = 0;  // in a lane, all included; beyond 32 bits: no record can be it
  std::uint64_t text_bytes = 0;   // of the fields other than bodies
  std::uint64_t request_bytes = 0;
  std::uint64_t response_bytes = 0;

  [[nodiscard]] bool has_bodies() const noexcept { return (request_bytes | response_bytes) != 0; }
};

[[nodiscard]] Measure measure(const sidecast_generation& generation) noexcept;
[[nodiscard]] Measure measure(const sidecast_span& span) noexcept;

// A lower bound of what the record takes in any form, from a look at little of it: for turning it
// away from a ring that is known to be full. 0 when nothing can be said.
[[nodiscard]] std::uint64_t least_bytes(const sidecast_generation& generation) noexcept;
[[nodiscard]] std::uint64_t least_bytes(const sidecast_span& span) noexcept;

// What the shed form takes in a lane.
[[nodiscard]] std::uint64_t shed_bytes(const sidecast_generation& generation,
                                       const Measure& measured) noexcept;
[[nodiscard]] std::uint64_t shed_bytes(const sidecast_span& span, const Measure& measured) noexcept;

// Writes the record but for its trailer, which publishing adds. `size_bytes` is
// Measure::whole_bytes or shed_bytes(); `out` has that much room.
void encode(const sidecast_generation& generation, const Measure& measured, Detail detail,
            std::uint64_t sequence, char* out, std::uint64_t size_bytes) noexcept;
void encode(const sidecast_span& span, const Measure& measured, Detail detail,
            std::uint64_t sequence, char* out, std::uint64_t size_bytes) noexcept;

}  // namespace sidecast::shm
