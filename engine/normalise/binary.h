// Bodies that are no text at all: speech, pictures, archives. They leave as a note of their type
// and size, like media inlined in JSON.
#pragma once

#include <optional>

#include "engine/base/bytes.h"
#include "engine/model/message.h"

namespace sidecast {

// What the bytes are, by their first ones: "audio/mpeg", ..., "application/octet-stream" for what
// is none of the known; nothing for text, even if some of it is broken.
[[nodiscard]] std::optional<Text> binary_type(Bytes bytes) noexcept;

// The part of a message that media of this type are.
[[nodiscard]] PartKind kind_of_mime_type(Text mime_type) noexcept;

}  // namespace sidecast
