// Messages in the shapes of OpenTelemetry's GenAI conventions: {"role","parts":[{"type",...}]}, as
// JSON text.
#pragma once

#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/tree.h"

namespace sidecast {

// gen_ai.input.messages, or empty. Where the API takes its instructions apart (Anthropic messages),
// they are not in here. Texts of other calls are one user message.
[[nodiscard]] Text gen_ai_input_messages(const DialectContext& context);

// gen_ai.output.messages: one per choice, each with its finish reason, or empty.
[[nodiscard]] Text gen_ai_output_messages(const DialectContext& context);

// gen_ai.system_instructions: a list of parts, or empty.
[[nodiscard]] Text gen_ai_system_instructions(const DialectContext& context);

// Messages and instructions, tools offered, and for tools and retrievers the names they have of
// their own.
void write_gen_ai_content(const DialectContext& context, AttributeWriter& out);

}  // namespace sidecast
