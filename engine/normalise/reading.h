// What the readers of the APIs share: the Trace they fill, and how a value of a body becomes text
// that may leave. Everything they store goes through text(), json() or word(), so media are
// scrubbed in one place.
#pragma once

#include <optional>

#include "engine/base/json_writer.h"
#include "engine/model/trace.h"
#include "engine/normalise/json.h"
#include "engine/normalise/media.h"

namespace sidecast {

// An ArenaVector's pieces of one text, joined once at the end: streams bring a text in thousands of
// pieces, and appending to a growing string in an arena would keep every size it ever had.
class TextPieces {
 public:
  explicit TextPieces(Arena& arena) : pieces_(arena.resource()) {}
  void append(Text piece) {
    if (piece.empty()) return;
    pieces_.push_back(piece);
    size_bytes_ += piece.size();
  }
  [[nodiscard]] bool empty() const noexcept { return size_bytes_ == 0; }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_bytes_; }
  [[nodiscard]] Text join(Arena& arena) const;

 private:
  ArenaVector<Text> pieces_;
  std::size_t size_bytes_ = 0;
};

class Reading {
 public:
  Reading(Trace& trace_to_fill, Arena& arena_to_use) noexcept
      : trace(trace_to_fill), arena(arena_to_use) {}

  // A string's content, escapes undone and media scrubbed; empty for anything else.
  [[nodiscard]] Text text(JsonValue value) const;
  // The value as JSON text, media scrubbed; empty when it is not there or null.
  [[nodiscard]] Text json(JsonValue value) const;
  // What only its provider can read, and wants back as it was: a proof, a cipher. Of media no more
  // than data URLs are looked for in it.
  [[nodiscard]] Text opaque(JsonValue value) const;
  // text() of a string, json() of anything else.
  [[nodiscard]] Text text_or_json(JsonValue value) const;

  // One fact (Trace::facts), unless it is there already. Containers are ignored.
  void add_fact(Text key, JsonValue value);
  void add_fact(Text key, Scalar value);

  Trace& trace;
  Arena& arena;
  // Of the body that is being read; never null while one is.
  const MediaSpans* media = nullptr;
};

// Sets `to` if it is still empty: what came first, or from the gateway, stays.
inline void set_if_empty(Text& to, Text value) noexcept {
  if (to.empty()) to = value;
}

}  // namespace sidecast
