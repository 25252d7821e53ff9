// Spans as OpenTelemetry defines them: what a dialect makes of a Trace and an encoder turns into
// bytes. Plain data in the worker's arena; keys and texts are views.
#pragma once

#include <cstdint>
#include <span>
#include <variant>

#include "engine/base/arena.h"
#include "engine/base/clock.h"
#include "engine/model/ids.h"

namespace sidecast {

enum class SpanKind : std::uint8_t {
  kUnspecified,
  kInternal,
  kServer,
  kClient,
  kProducer,
  kConsumer
};
enum class StatusCode : std::uint8_t { kUnset, kOk, kError };

// OTLP AnyValue without nesting: dialects write structures as JSON text.
using AttributeValue =
    std::variant<Text, std::int64_t, double, bool, std::span<const Text>, std::span<const double>>;

struct Attribute {
  Text key;
  AttributeValue value;
};

struct SpanEvent {
  explicit SpanEvent(Arena& arena) : attributes(arena.resource()) {}
  Text name;
  Timestamp time;
  ArenaVector<Attribute> attributes;
};

struct Span {
  explicit Span(Arena& arena) : attributes(arena.resource()), events(arena.resource()) {}
  TraceId trace_id;
  SpanId span_id;
  SpanId parent_span_id;  // zero = root
  std::uint32_t flags = 0;
  Text name;
  SpanKind kind = SpanKind::kInternal;
  Timestamp start;
  Timestamp end;
  StatusCode status = StatusCode::kUnset;
  Text status_message;
  ArenaVector<Attribute> attributes;  // keys unique
  ArenaVector<SpanEvent> events;
  std::uint32_t dropped_attributes = 0;
};

// One record's spans under one resource and scope: becomes one ResourceSpans entry, so that
// entries of many records concatenate to a request (reference "otlp" §9.1).
struct SpanSet {
  explicit SpanSet(Arena& arena) : resource(arena.resource()), spans(arena.resource()) {}
  ArenaVector<Attribute> resource;
  Text scope_name;
  Text scope_version;
  ArenaVector<Span> spans;
};

}  // namespace sidecast
