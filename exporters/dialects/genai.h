// OpenTelemetry's GenAI attributes of a model call, for every dialect whose reader knows some of
// them. Version v1.41.1, or the development text where DialectOptions::gen_ai_names says so.
#pragma once

#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/tree.h"

namespace sidecast {

// "{operation} {model}", or what there is of it.
[[nodiscard]] Text gen_ai_span_name(const Trace& trace, Arena& arena);

// The name of a generation or an explicit span where nobody gave one.
[[nodiscard]] Text default_span_name(const Trace& trace, Arena& arena);

// Operation, provider, models, response id, and what only OpenAI has names for.
void write_gen_ai_call(const DialectContext& context, AttributeWriter& out);

void write_gen_ai_parameters(const DialectContext& context, AttributeWriter& out);

// Input, output, and the parts of them that were cached or spent on reasoning.
void write_gen_ai_tokens(const DialectContext& context, AttributeWriter& out);

// Finish reasons, one per choice, and the time to the first token in seconds.
void write_gen_ai_finish(const DialectContext& context, AttributeWriter& out);

}  // namespace sidecast
