// A whole file in memory, up to a limit.
#pragma once

#include <cstddef>
#include <string>

#include "engine/base/result.h"

namespace sidecast {

// A file larger than `bytes_max` is an Error, and no more than that is read.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t bytes_max);

}  // namespace sidecast
