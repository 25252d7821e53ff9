// A body, or one event of a stream, made fit to be read: valid UTF-8, parsed, its media found.
#pragma once

#include <optional>

#include "engine/normalise/event_stream.h"
#include "engine/normalise/json.h"
#include "engine/normalise/media.h"
#include "engine/normalise/reading.h"
#include "engine/normalise/sse.h"

namespace sidecast {

struct Body {
  // Reads `bytes`; views of the result live in them or in the arena. False if they are not JSON:
  // `text` is then valid UTF-8 all the same and its media are known.
  bool load(Bytes bytes, JsonParser& parser, Arena& arena);

  [[nodiscard]] JsonValue root() const noexcept { return json.root(); }
  // All of it, ready to leave.
  [[nodiscard]] Text scrubbed(Arena& arena) const { return media.scrub(text, arena); }

  Text text;  // without the space around it
  JsonDocument json;
  MediaSpans media;
};

struct StreamEvent {
  Text name;  // SSE's `event:`; else empty
  JsonValue value;
};

// A streamed answer, event by event, whatever its framing: server-sent events, AWS's binary event
// stream, one JSON object a line, or one JSON array. What is not JSON (`[DONE]`, the torn end of a
// cut stream) is passed over. AWS's exceptions become {"type":"error","error":{...}}.
class StreamReader {
 public:
  // `body` is overwritten by every event; `reading.media` follows.
  StreamReader(Bytes stream, JsonParser& parser, Body& body, Reading& reading);
  // The elements of an array that `array` holds already.
  StreamReader(JsonValue array, JsonParser& parser, Body& body, Reading& reading);

  // The event's values are valid until the next call; the texts that Reading makes of them stay.
  [[nodiscard]] std::optional<StreamEvent> next();
  // From the first event again.
  void rewind();
  // The stream said that it is over: it came to its `[DONE]`, or to an event that means the same.
  [[nodiscard]] bool has_ended() const noexcept { return has_ended_; }
  void note_end() noexcept { has_ended_ = true; }
  // Is it one whole JSON value? Not while an event is being read: it takes the event's place.
  [[nodiscard]] bool is_json(Text text);

 private:
  [[nodiscard]] std::optional<SseEvent> next_payload();

  // `payload` as the body of an error, of the type that an exception is called by.
  [[nodiscard]] Text error_of(Text exception, Text payload, Text message) const;

  Bytes stream_;
  std::optional<SseReader> sse_;
  std::optional<EventStreamReader> aws_;
  Text lines_;  // still to be read, each an event
  JsonValue array_;
  std::optional<JsonValue::Iterator> element_;
  bool has_ended_ = false;
  JsonParser& parser_;
  Body& body_;
  Reading& reading_;
};

}  // namespace sidecast
