// Requests for the engine's own standard output or error (url console:stdout, console:stderr): the
// body is written as it is, and waited for only as long as a request may take. A reader that
// stalls, a terminal that is stopped, hold up this destination's thread and nothing else.
#pragma once

#include <memory>
#include <string>

#include "exporters/transport/blocking_channel.h"
#include "exporters/transport/places.h"

namespace sidecast {

[[nodiscard]] std::unique_ptr<BlockingSink> make_console_sink(const std::string& url);
// The same for any open descriptor, which stays the caller's.
[[nodiscard]] std::unique_ptr<BlockingSink> console_sink_for_test(int descriptor);

}  // namespace sidecast
