// Files that were set aside because they are damaged or hostile: kept for whoever wants to look at
// them, but never without bound.
#pragma once

#include <string>
#include <string_view>

namespace sidecast {

// Removes the oldest files of `directory` whose names end in `suffix` (empty: all files) until at
// most 16 of them and 64 MiB in all are left. Errors leave what is there.
void bound_set_aside(const std::string& directory, std::string_view suffix) noexcept;

}  // namespace sidecast
