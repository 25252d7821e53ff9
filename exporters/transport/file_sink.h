// Requests for a file: their url is file:// and its path, their headers are the rules of rotation
// (places.h), their body is appended as it is. An empty body only asks whether it could be.
#pragma once

#include <memory>
#include <string>

#include "exporters/transport/blocking_channel.h"
#include "exporters/transport/places.h"

namespace sidecast {

// The answer to what failed with that errno: 507 where there is no room, 403 and 404 where somebody
// must mend a setting, 503 for what may pass.
[[nodiscard]] Response channel_error(int error, const std::string& what);

[[nodiscard]] std::unique_ptr<BlockingSink> make_file_sink(const std::string& url);

}  // namespace sidecast
