// Server-sent events, as the HTML standard splits them, and a little beyond it: what stands at the
// end of a cut stream without its blank line is still an event, for it is what came.
#pragma once

#include <optional>

#include "engine/base/arena.h"
#include "engine/base/bytes.h"

namespace sidecast {

struct SseEvent {
  Text name;  // of its `event:` line; empty when it had none
  Text data;  // its `data:` lines, joined by newlines: a view when it is one line
};

class SseReader {
 public:
  // `stream` must outlive the events.
  explicit SseReader(Text stream) noexcept;

  // Events without data (comments, keep-alives) are passed over.
  [[nodiscard]] std::optional<SseEvent> next(Arena& arena);

 private:
  [[nodiscard]] Text take_line() noexcept;
  [[nodiscard]] Text join_data(Text lines, Arena& arena) const;

  Text rest_;
  char newline_;  // '\n', with a '\r' before it or not; '\r' alone in a stream that has no '\n'
};

// Does the text begin like a stream of events, rather than like JSON?
[[nodiscard]] bool looks_like_sse(Text text) noexcept;

}  // namespace sidecast
