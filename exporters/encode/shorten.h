// Shortens texts until what holds them fits: the longest first, all down to one level, each with a
// marker that says how long it was.
//
//   "It was a dark and stormy ni…[shortened from 20,971,520 bytes]"
//
// JSON stays JSON: the texts in it are shortened, and where that is not enough one marker stands
// for all of it. Short texts (ids, names, roles) are left alone. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/base/bytes.h"

namespace sidecast {

// No text is made shorter than that, which leaves room for the marker and a first line.
inline constexpr std::size_t kShortenedBytesMin = 160;

// How long texts of these sizes may be when together they must take no more than `room` bytes:
// those below keep theirs. At least kShortenedBytesMin, even where that is too much.
[[nodiscard]] std::size_t level_of(std::vector<std::size_t> sizes, std::size_t room);

// `text` in at most `bytes_max` bytes, which are at least kShortenedBytesMin.
[[nodiscard]] std::string shortened(Text text, std::size_t bytes_max);

// What the content of a JSON text (without its quotes) says.
[[nodiscard]] std::string json_unescaped(Text content);

// Appends one JSON object or array with its longest texts shortened, so that it takes about
// `bytes_max` bytes or as few as that can give. Texts of members named in `kept` stay whole. False:
// it is no JSON, and nothing was appended.
[[nodiscard]] bool shorten_json(Text json, std::size_t bytes_max, std::span<const Text> kept,
                                ByteBuffer& out);

}  // namespace sidecast
