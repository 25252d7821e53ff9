// UTF-8: everything that leaves must be valid, or strict protobuf readers refuse a whole request.
#pragma once

#include <cstddef>

#include "engine/base/arena.h"
#include "engine/base/bytes.h"

namespace sidecast {

[[nodiscard]] bool is_valid_utf8(Text text) noexcept;

// `text` itself when it is valid, else a copy in the arena with U+FFFD for each invalid sequence.
[[nodiscard]] Text to_valid_utf8(Text text, Arena& arena);

// The longest prefix of at most `bytes_max` bytes that does not cut a character.
[[nodiscard]] Text utf8_prefix(Text text, std::size_t bytes_max) noexcept;

}  // namespace sidecast
