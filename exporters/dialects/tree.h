// The spans of one record, before any dialect has named their attributes:
//
//   root (trace_name) -> group (span_name) -> generation (generation_name) -> attempts
//
// A level nobody named is skipped, not invented. An explicit span stands alone under the parent it
// names. Ids are functions of the record (reference "conventions" §6.4): a retry, a crash replay or
// a second engine produces identical spans.
#pragma once

#include <cstddef>

#include "exporters/exporter.h"

namespace sidecast {

enum class SpanRole { kRoot, kGroup, kGeneration, kAttempt, kExplicit };

struct SpanSlot {
  SpanRole role = SpanRole::kGeneration;
  const Attempt* attempt = nullptr;  // kAttempt only
  std::size_t attempt_index = 0;     // from 0
};

// What a painter may read, and where what it makes must live.
struct DialectContext {
  const Trace& trace;
  const DialectOptions& options;
  Arena& arena;
};

// A dialect's part: kind, attributes, events, the success status, and the name where `span.name` is
// still empty. Ids, times, flags, the user's names and the status of failures are set.
using SpanPainter = void (*)(const DialectContext&, const SpanSlot&, Span&);

[[nodiscard]] SpanSet build_tree(const DialectContext& context, SpanPainter paint);

// A painter for each kind of span, where generations and explicit spans are painted alike.
struct Painters {
  SpanPainter level;    // roots and groups
  SpanPainter subject;  // generations and explicit spans
  SpanPainter attempt;
};
[[nodiscard]] SpanSet build_tree(const DialectContext& context, const Painters& painters);

// How the request or the attempt ended. A client that went away counts as a failure.
struct Failure {
  bool happened = false;
  Text type;     // low cardinality
  Text message;  // content; gone in privacy mode
};
[[nodiscard]] Failure failure_of(const Trace& trace) noexcept;
[[nodiscard]] Failure failure_of(const Attempt& attempt) noexcept;
// The one that the span of this slot reports.
[[nodiscard]] Failure failure_of(const DialectContext& context, const SpanSlot& slot) noexcept;

// The trace id is a hash of the text the user gave: the text itself goes to the metadata.
[[nodiscard]] bool trace_id_is_hashed(const DialectContext& context) noexcept;

}  // namespace sidecast
