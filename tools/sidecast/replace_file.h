// A file's text, replaced whole or not at all.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace sidecast {

// Writes a new file beside it and renames that over it, so that a reader, or a crash, sees the old
// text or the new. Owner and mode stay; a link is followed. A file that is not there is made, for
// its owner alone.
[[nodiscard]] Status replace_file(const std::string& path, std::string_view text);

}  // namespace sidecast
