// Tokens and money, in one meaning whatever the provider means by its own numbers: input includes
// cached tokens, output includes reasoning; the details are subsets (reference "conventions" §2.5).
// Absent means not reported, never zero.
#pragma once

#include <cstdint>
#include <optional>

namespace sidecast {

struct Usage {
  std::optional<std::int64_t> input;
  std::optional<std::int64_t> output;
  std::optional<std::int64_t> total;
  std::optional<std::int64_t> cache_read;    // part of input
  std::optional<std::int64_t> cache_write;   // part of input
  std::optional<std::int64_t> reasoning;     // part of output
  std::optional<std::int64_t> input_audio;   // part of input
  std::optional<std::int64_t> output_audio;  // part of output
};

struct Cost {  // USD
  std::optional<double> total;
  std::optional<double> input;
  std::optional<double> output;
};

}  // namespace sidecast
