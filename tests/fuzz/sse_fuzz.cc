// Server-sent events: bounded by their bytes, and equal to the same stream with the other line
// ends.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/normalise/sse.h"

namespace {

using namespace sidecast;
using Events = std::vector<std::pair<std::string, std::string>>;

Events events_of(std::string_view stream, Arena& arena) {
  Events events;
  SseReader reader(stream);
  std::size_t size = 0;
  while (const auto event = reader.next(arena)) {
    size += event->name.size() + event->data.size();
    events.emplace_back(event->name, event->data);
    SIDECAST_ASSERT(size <= stream.size());
    SIDECAST_ASSERT(events.size() <= stream.size());
  }
  return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Arena arena;
  arena.reset();
  const std::string stream(reinterpret_cast<const char*>(data), size);
  const Events events = events_of(stream, arena);
  static_cast<void>(looks_like_sse(stream));
  if (stream.find('\r') != std::string::npos || stream.find('\n') == std::string::npos) return 0;
  std::string with_returns;
  for (const char c : stream) {
    if (c == '\n') with_returns += '\r';
    with_returns += c;
  }
  SIDECAST_ASSERT(events_of(with_returns, arena) == events);
  return 0;
}
