// Base64: the standard alphabet with padding, and the one for URLs and file names without.
#pragma once

#include <optional>
#include <string>

#include "engine/base/arena.h"
#include "engine/base/bytes.h"

namespace sidecast {

[[nodiscard]] std::string to_base64(Bytes bytes);
[[nodiscard]] std::string to_base64url(Bytes bytes);
// Nothing when it is not base64url, or not in its one canonical form.
[[nodiscard]] std::optional<std::string> from_base64url(Text text);

// The standard alphabet with its padding, decoded into the arena; nothing if the text is anything
// else.
[[nodiscard]] std::optional<Bytes> from_base64(Text text, Arena& arena);

}  // namespace sidecast
