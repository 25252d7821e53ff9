// The directories the engine lives in: the ring directory, which it shares with gateways, and its
// own one inside. What an operator can do when a start fails for want of rights or of room.
#pragma once

#include <string>

#include "engine/base/result.h"
#include "engine/ledger/paths.h"

namespace sidecast {

// Makes what is missing. The ring directory gets the mode that lets gateways in, ours is closed to
// them.
[[nodiscard]] Status make_directories(const std::string& ring_dir, const EnginePaths& paths);

// Adds to an Error of a start what to do, if the file system is (nearly) full.
[[nodiscard]] Error with_advice_on_room(Error error, const std::string& ring_dir);

}  // namespace sidecast
