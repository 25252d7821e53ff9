#include "exporters/dialects/tree.h"

#include <algorithm>
#include <cstring>

#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/caps.h"
#include "exporters/dialects/keys.h"

namespace sidecast {
namespace {

// Span flags (reference "otlp" §3): sampled; whether the parent is remote is known; it is.
constexpr std::uint32_t kSampled = 0x001;
constexpr std::uint32_t kRemoteKnown = 0x100;
constexpr std::uint32_t kRemote = 0x200;

constexpr Text kScopeName = "sidecast";
constexpr Text kDefaultServiceName = "sidecast";

TraceId trace_id_of(const DialectContext& context) {
  const Trace& trace = context.trace;
  if (!context.options.always_hash_trace_id || trace.settings.trace_id_text.empty()) {
    return trace.trace_id;
  }
  return hash_trace_id(trace.settings.trace_id_text);
}

// The first 8 bytes of SHA-256(generation id).
SpanId generation_span_id(const Trace& trace, const TraceId& trace_id) {
  // Without a trace id of its own, the trace's id is the first 16 bytes of the very same hash.
  if (trace.settings.trace_id_text.empty()) {
    SpanId id;
    std::copy_n(trace_id.bytes.begin(), id.bytes.size(), id.bytes.begin());
    if (!id.is_zero()) return id;
  }
  return hash_span_id(trace.identity.generation_id);
}

// Of a root or group. Unless roots are shared, every request has its own.
SpanId level_span_id(const DialectContext& context, const TraceId& trace_id, Text role, Text name) {
  static constexpr Text kEnd("\0", 1);  // keeps name and generation id apart
  const Text generation =
      context.options.shared_roots ? Text() : context.trace.identity.generation_id;
  return hash_span_id(join({role, kEnd, trace_id.view(), name, kEnd, generation}, context.arena));
}

void write_resource(const DialectContext& context, SpanSet& set) {
  AttributeWriter out(set.resource, context.arena);
  for (const auto& [key, value] : context.options.resource) out.text(key, value);
  if (!out.has(keys::kServiceName)) out.text(keys::kServiceName, kDefaultServiceName);
}

class TreeBuilder {
 public:
  TreeBuilder(const DialectContext& context, const Painters& painters)
      : context_(context),
        painters_(painters),
        set_(context.arena),
        trace_id_(trace_id_of(context)),
        parent_(context.trace.settings.parent_span_id),
        parent_is_remote_(parent_.has_value() && !context.trace.is_explicit_span) {
    set_.scope_name = kScopeName;
    set_.scope_version = SIDECAST_VERSION;
    write_resource(context, set_);
  }

  SpanSet build() {
    const Trace& trace = context_.trace;
    if (trace.is_explicit_span) {
      set_.spans.reserve(1);
      Span& span = add({.role = SpanRole::kExplicit}, trace.name);
      span.span_id = trace.span_id.value_or(hash_span_id(trace.identity.generation_id));
      finish(span, {.role = SpanRole::kExplicit});
      return std::move(set_);
    }
    set_.spans.reserve(3 + trace.attempts.size());
    if (context_.options.tree == TreeShape::kFull) {
      add_level(SpanRole::kRoot, "root", trace.settings.trace_name);
      add_level(SpanRole::kGroup, "group", trace.settings.span_name);
    }
    const SpanSlot slot{.role = SpanRole::kGeneration};
    Span& generation = add(slot, trace.settings.generation_name);
    generation.span_id = generation_span_id(trace, trace_id_);
    descend(generation);
    finish(generation, slot);
    for (std::size_t i = 0; i < trace.attempts.size(); ++i) add_attempt(i);
    return std::move(set_);
  }

 private:
  Span& add(const SpanSlot& slot, Text name) {
    Span& span = set_.spans.emplace_back(context_.arena);
    const Trace& trace = context_.trace;
    span.trace_id = trace_id_;
    if (parent_) span.parent_span_id = *parent_;
    span.flags = kSampled | kRemoteKnown | (parent_is_remote_ ? kRemote : 0);
    span.name = name;
    span.start = trace.start;
    span.end = trace.end;
    if (slot.attempt != nullptr && slot.attempt->start != Timestamp()) {
      span.start = slot.attempt->start;
      span.end = slot.attempt->end;
    }
    span.end = std::max(span.start, span.end);
    return span;
  }

  // The spans that follow are this one's children.
  void descend(const Span& span) {
    parent_ = span.span_id;
    parent_is_remote_ = false;
  }

  [[nodiscard]] SpanPainter painter_of(SpanRole role) const noexcept {
    switch (role) {
      case SpanRole::kRoot:
      case SpanRole::kGroup:
        return painters_.level;
      case SpanRole::kAttempt:
        return painters_.attempt;
      default:
        return painters_.subject;
    }
  }

  void finish(Span& span, const SpanSlot& slot) {
    const Failure failure = failure_of(context_, slot);
    if (failure.happened) {
      span.status = StatusCode::kError;
      span.status_message = failure.message.empty() ? failure.type : failure.message;
    }
    painter_of(slot.role)(context_, slot, span);
    apply_caps(context_.options.caps, span, context_.arena);
  }

  void add_level(SpanRole role, Text role_name, Text name) {
    if (name.empty()) return;
    const SpanSlot slot{.role = role};
    Span& span = add(slot, name);
    span.span_id = level_span_id(context_, trace_id_, role_name, name);
    descend(span);
    finish(span, slot);
  }

  void add_attempt(std::size_t index) {
    Arena& arena = context_.arena;
    const Attempt& attempt = context_.trace.attempts[index];
    const Text number = decimal(index, arena);
    const SpanSlot slot{.role = SpanRole::kAttempt, .attempt = &attempt, .attempt_index = index};
    Span& span = add(slot, join({"provider attempt ", number, attempt.provider.empty() ? "" : ": ",
                                 attempt.provider},
                                arena));
    span.span_id =
        hash_span_id(join({context_.trace.identity.generation_id, ":attempt-", number}, arena));
    finish(span, slot);
  }

  const DialectContext& context_;
  const Painters painters_;
  SpanSet set_;
  TraceId trace_id_;
  std::optional<SpanId> parent_;
  bool parent_is_remote_;
};

}  // namespace

SpanSet build_tree(const DialectContext& context, SpanPainter paint) {
  return TreeBuilder(context, {paint, paint, paint}).build();
}

SpanSet build_tree(const DialectContext& context, const Painters& painters) {
  return TreeBuilder(context, painters).build();
}

Failure failure_of(const Trace& trace) noexcept {
  const Outcome& outcome = trace.outcome;
  if (!outcome.failed && !outcome.aborted) return {};
  Text type = outcome.error_type;
  if (type.empty()) type = outcome.aborted ? Text("client_disconnected") : Text("_OTHER");
  return {true, type, outcome.error_message};
}

Failure failure_of(const Attempt& attempt) noexcept {
  return {!attempt.error_type.empty(), attempt.error_type, attempt.error_message};
}

Failure failure_of(const DialectContext& context, const SpanSlot& slot) noexcept {
  return slot.attempt != nullptr ? failure_of(*slot.attempt) : failure_of(context.trace);
}

bool trace_id_is_hashed(const DialectContext& context) noexcept {
  const TraceSettings& settings = context.trace.settings;
  return !settings.trace_id_text.empty() &&
         (settings.trace_id_hashed || context.options.always_hash_trace_id);
}

}  // namespace sidecast
