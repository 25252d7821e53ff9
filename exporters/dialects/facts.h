// What every dialect derives from a Trace in the same way: what the gateway knows about a request
// beyond the conventions, totals, and the exception event of a failure.
#pragma once

#include <optional>
#include <span>

#include "engine/base/json_writer.h"
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

// The sum where the provider gave none.
[[nodiscard]] std::optional<std::int64_t> total_tokens(const Usage& usage) noexcept;

// One per choice, in the trace or in the arena.
[[nodiscard]] std::span<const Text> finish_reasons(const Trace& trace, Arena& arena);

// Start to first token; absent when it was not streamed.
[[nodiscard]] std::optional<Nanoseconds> time_to_first_token(const Trace& trace) noexcept;

// An `exception` event with type and message at the span's end, if the slot's span failed.
void add_exception(const DialectContext& context, const SpanSlot& slot, Span& span);

}  // namespace sidecast
