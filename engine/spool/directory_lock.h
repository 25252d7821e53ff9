// Who may change a spool's directory: one engine or one tool at a time.
#pragma once

#include <string>

#include "engine/base/result.h"

namespace sidecast::spool {

// Makes the directory, for nobody but us, and takes its lock: a descriptor, with whose closing the
// lock goes. An Error when somebody else has it, the directory cannot be written to, or others may
// write to it: what it holds is sent on.
[[nodiscard]] Result<int> lock_directory(const std::string& directory);

}  // namespace sidecast::spool
