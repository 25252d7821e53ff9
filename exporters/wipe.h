// What credentials were in is overwritten when a request is over.
#pragma once

#include <vector>

#include "engine/base/locked_memory.h"
#include "exporters/exporter.h"

namespace sidecast {

inline void wipe_values(std::vector<Header>& headers) noexcept {
  for (Header& header : headers) wipe(header.value.data(), header.value.size());
}

inline void wipe_credentials(Request& request) noexcept {
  wipe_values(request.headers);
  wipe_values(request.settings);
}

}  // namespace sidecast
