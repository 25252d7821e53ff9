// AWS's binary event streams (application/vnd.amazon.eventstream), message by message. Both of a
// message's checksums must hold: what follows a broken or cut one is not read.
// Specification: https://smithy.io/2.0/aws/amazon-eventstream.html
#pragma once

#include <optional>

#include "engine/base/arena.h"
#include "engine/base/bytes.h"

namespace sidecast {

struct AwsEvent {
  Text name;     // of the event, or the type or code of an error
  Text payload;  // of InvokeModel's chunks: the model's own event, decoded
  bool is_error = false;
  Text error_message;  // of an error that has no payload
};

class EventStreamReader {
 public:
  // `stream` must outlive the events.
  explicit EventStreamReader(Bytes stream) noexcept : rest_(stream) {}

  [[nodiscard]] std::optional<AwsEvent> next(Arena& arena);

 private:
  Bytes rest_;
};

// Do the bytes begin with a message's prelude? Its checksum makes a chance hit all but impossible.
[[nodiscard]] bool looks_like_event_stream(Bytes bytes) noexcept;

}  // namespace sidecast
