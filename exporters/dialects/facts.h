// What every dialect derives from a Trace in the same way: what the gateway knows about a request
// beyond the conventions, totals, and the exception event of a failure.
#pragma once

#include <initializer_list>
#include <optional>
#include <span>

#include "engine/base/json_writer.h"
#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/tree.h"

namespace sidecast {

// Generation id, key, provider, region, status, what was shed, and all of trace.facts: metadata of
// the gateway's own, kept apart from the user's under a `gateway` name. Nothing in it is content.
[[nodiscard]] ArenaVector<Metadatum> gateway_facts(const Trace& trace, Arena& arena);

// The user's metadata that the tree could not express: a trace id that was hashed, a parent that is
// no span id, names of spans that this shape of tree lacks. As texts, under the names they were
// sent with.
[[nodiscard]] ArenaVector<Metadatum> unused_settings(const DialectContext& context);

// One JSON object: the user's keys as they are, then those of `more` that the user has not, then
// `facts` in an object of their own named `gateway` (`sidecast` where the user has a gateway key).
void write_metadata(JsonWriter& json, std::span<const Metadatum> user,
                    std::span<const Metadatum> more, std::span<const Metadatum> facts);

// Where the record's own span stands among those of the set; levels come before it, attempts after.
[[nodiscard]] std::size_t place_of_call(const Trace& trace, const SpanSet& set) noexcept;

// The sum where the provider gave none.
[[nodiscard]] std::optional<std::int64_t> total_tokens(const Usage& usage) noexcept;

// One per choice, in the trace or in the arena.
[[nodiscard]] std::span<const Text> finish_reasons(const Trace& trace, Arena& arena);

// Start to first token; absent when it was not streamed.
[[nodiscard]] std::optional<Nanoseconds> time_to_first_token(const Trace& trace) noexcept;

// An `exception` event with type and message at the span's end, if the slot's span failed.
void add_exception(const DialectContext& context, const SpanSlot& slot, Span& span);

// How the slot's span ended: `success` as its status, or error.type and the exception event.
void write_outcome(const DialectContext& context, const SpanSlot& slot, StatusCode success,
                   Span& span, AttributeWriter& out);

// The record's free-form attributes under the names the gateway gave them. Names that belong to
// OpenTelemetry itself or steer a backend (otel.*, service.*, ...) are put under `sidecast.`.
void write_attributes(const Trace& trace, AttributeWriter& out);

// The same for readers to whom a name they do not know means something else: names in the reader's
// own namespace as they are, all others under `prefix`.
void write_attributes(const Trace& trace, Text own_namespace, Text prefix, AttributeWriter& out);

// The user's metadata without the keys that a dialect promotes to fields of its own.
[[nodiscard]] ArenaVector<Metadatum> metadata_without(const Trace& trace,
                                                      std::initializer_list<Text> promoted,
                                                      Arena& arena);

// The first of each key.
[[nodiscard]] ArenaVector<Metadatum> unique_keys(std::span<const Metadatum> metadata, Arena& arena);

// The text under that key of the user's metadata, or empty.
[[nodiscard]] Text metadata_text(const Trace& trace, Text key) noexcept;

// Costs in USD, for readers that have no place for them.
void add_cost_facts(const Trace& trace, ArenaVector<Metadatum>& facts);

// Which attempt it was, where it went and how it ended.
[[nodiscard]] ArenaVector<Metadatum> attempt_facts(const SpanSlot& slot, Arena& arena);

}  // namespace sidecast
