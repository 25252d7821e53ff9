// The OpenInference dialect: messages, tools and documents flattened to <list>.<index>.<field>, one
// JSON string of metadata. Short identifying attributes come first and long message lists last, so
// that a reader that truncates keeps the important ones.
#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/dialects.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/keys.h"
#include "exporters/dialects/messages.h"
#include "exporters/dialects/names.h"
#include "exporters/dialects/tree.h"

namespace sidecast {
namespace {

constexpr Text kJson = "application/json";
constexpr Text kPlainText = "text/plain";

// ---- Lists of objects --------------------------------------------------------------------------

// "<list><index>." : what the fields of one element begin with.
Text element(Text list, std::size_t index, Arena& arena) {
  return join({list, decimal(index, arena), "."}, arena);
}

// Writes the fields of one element; absent ones cost no name.
class ElementWriter {
 public:
  ElementWriter(AttributeWriter& out, Text prefix, Arena& arena) noexcept
      : out_(out), prefix_(prefix), arena_(arena) {}

  void text(Text field, Text value) {
    if (!value.empty()) out_.text(join({prefix_, field}, arena_), value);
  }
  void number(Text field, std::optional<double> value) {
    if (value) out_.number(join({prefix_, field}, arena_), value);
  }

 private:
  AttributeWriter& out_;
  Text prefix_;
  Arena& arena_;
};

void write_media(ElementWriter& out, const Part& part, Arena& arena) {
  // Only images and audio have a place of their own, and only by address.
  const bool is_audio = part.kind == PartKind::kAudio;
  if ((part.kind != PartKind::kImage && !is_audio) || !part.file_id.empty()) {
    out.text("type", "text");
    out.text("text", media_note(part, arena));
    return;
  }
  const Text url = part.url.empty() ? kRedacted : part.url;
  out.text("type", is_audio ? "audio" : "image");
  if (is_audio) {
    out.text("audio.audio.url", url);
    out.text("audio.audio.mime_type", part.mime_type);
    out.text("audio.audio.transcript", part.text);
  } else {
    out.text("image.image.url", url);
  }
}

void write_content_part(ElementWriter& out, const Part& part, Arena& arena) {
  if (is_media(part.kind)) {
    write_media(out, part, arena);
  } else if (part.kind == PartKind::kReasoning) {
    out.text("type", "reasoning");
    out.text("text", part.text);
    out.text("id", part.id);
    out.text("signature", part.signature);
  } else {
    out.text("type", "text");
    out.text("text", part.text);
  }
}

void write_message(AttributeWriter& attributes, Text prefix, const FlatMessage& message,
                   Arena& arena) {
  ElementWriter out(attributes, prefix, arena);
  out.text("message.role", message.role);
  out.text("message.name", message.name);
  out.text("message.tool_call_id", message.tool_call_id);
  if (message.is_plain_text()) {
    out.text("message.content", message.content.front()->text);
  } else {
    const Text contents = join({prefix, "message.contents."}, arena);
    for (std::size_t i = 0; i < message.content.size(); ++i) {
      const Text at = join({element(contents, i, arena), "message_content."}, arena);
      ElementWriter part(attributes, at, arena);
      write_content_part(part, *message.content[i], arena);
    }
  }
  if (message.calls.empty()) return;
  const Text calls = join({prefix, "message.tool_calls."}, arena);
  std::size_t index = 0;
  for (const Part* const part : message.calls) {
    const Text name = part->name.empty() ? part->type : part->name;
    if (part->id.empty() && name.empty() && part->text.empty() && part->signature.empty()) continue;
    ElementWriter call(attributes, element(calls, index++, arena), arena);
    call.text("tool_call.id", part->id);
    call.text("tool_call.function.name", name);
    call.text("tool_call.function.arguments", part->text);
    call.text("tool_call.reasoning_signature", part->signature);
  }
}

// An index is spent only on a message that says something, so that there are no gaps.
bool says_something(const FlatMessage& message) noexcept {
  return !message.role.empty() || !message.content.empty() || !message.calls.empty();
}

void write_messages(AttributeWriter& out, Text list, const ArenaVector<Message>& messages,
                    Arena& arena) {
  std::size_t index = 0;
  for (const FlatMessage& message : flatten_messages(messages, arena)) {
    if (!says_something(message)) continue;
    write_message(out, element(list, index++, arena), message, arena);
  }
}

void write_texts(AttributeWriter& out, Text list, Text field, const ArenaVector<Text>& texts,
                 Arena& arena) {
  std::size_t index = 0;
  for (const Text text : texts) {
    if (!text.empty()) out.text(join({element(list, index++, arena), field}, arena), text);
  }
}

void write_documents(AttributeWriter& out, Text list, const ArenaVector<Document>& documents,
                     Arena& arena) {
  std::size_t index = 0;
  for (const Document& document : documents) {
    if (document.id.empty() && document.content.empty() && !document.score) continue;
    ElementWriter fields(out, element(list, index++, arena), arena);
    fields.text("document.id", document.id);
    fields.text("document.content", document.content);
    fields.number("document.score", document.score);
  }
}

// ---- What all kinds share ----------------------------------------------------------------------

// One JSON text; flattened where the reader filters on metadata.<key>. Never both: they would
// collide in readers that unfold dotted names.
void write_metadata(const DialectContext& context, std::span<const Metadatum> facts,
                    AttributeWriter& out) {
  const ArenaVector<Metadatum>& user = context.trace.metadata;
  const ArenaVector<Metadatum> unused = unused_settings(context);
  if (context.options.flat_metadata) {
    out.add_outside(keys::kMetadataPrefix, user);
    out.add_outside(keys::kMetadataPrefix, unused);
    out.add_outside(keys::kMetadataGatewayPrefix, facts);
    return;
  }
  if (user.empty() && unused.empty() && facts.empty()) return;
  JsonText text(512);
  write_metadata(text.writer(), user, unused, facts);
  out.text(keys::kMetadata, text.finish(context.arena));
}

void write_common(const DialectContext& context, Text kind, std::span<const Metadatum> facts,
                  AttributeWriter& out) {
  const Trace& trace = context.trace;
  out.text(keys::kSpanKind, kind);
  out.text(keys::kSessionId, trace.identity.session_id);
  out.text(keys::kUserId, trace.identity.user_id);
  out.texts(keys::kTags, trace.tags);
  write_metadata(context, facts, out);
}

void write_values(const Trace& trace, AttributeWriter& out) {
  if (!trace.input_value.empty()) {
    out.text(keys::kInputValue, trace.input_value);
    out.text(keys::kInputMimeType, trace.input_is_json ? kJson : kPlainText);
  }
  // An embedding's answer is its vectors: large, and off unless someone asks for them.
  if (!trace.output_value.empty() && trace.kind != TraceKind::kEmbedding) {
    out.text(keys::kOutputValue, trace.output_value);
    out.text(keys::kOutputMimeType, trace.output_is_json ? kJson : kPlainText);
  }
}

void write_status(const DialectContext& context, const SpanSlot& slot, Span& span,
                  AttributeWriter& out) {
  span.kind = SpanKind::kInternal;
  write_outcome(context, slot, StatusCode::kOk, span, out);
}

void write_usage(const Trace& trace, AttributeWriter& out) {
  const Usage& usage = trace.usage;
  out.integer(keys::kTokensPrompt, usage.input);
  out.integer(keys::kTokensTotal, total_tokens(usage));
  if (trace.kind != TraceKind::kEmbedding) {
    out.integer(keys::kTokensCompletion, usage.output);
    out.integer(keys::kTokensCacheRead, usage.cache_read);
    out.integer(keys::kTokensCacheWrite, usage.cache_write);
    out.integer(keys::kTokensPromptAudio, usage.input_audio);
    out.integer(keys::kTokensReasoning, usage.reasoning);
    out.integer(keys::kTokensCompletionAudio, usage.output_audio);
  }
  out.number(keys::kCostPrompt, trace.cost.input);
  out.number(keys::kCostCompletion, trace.cost.output);
  out.number(keys::kCostTotal, trace.cost.total);
}

// ---- The kinds of a model call -----------------------------------------------------------------

void write_llm(const DialectContext& context, AttributeWriter& out) {
  const Trace& trace = context.trace;
  Arena& arena = context.arena;
  out.text(keys::kLlmSystem, model_author(trace, arena));
  out.text(keys::kLlmProvider, provider_names(trace.provider, arena).openinference);
  out.text(keys::kLlmModelName, model_of(trace));
  if (trace.model_requested != trace.model_served && !trace.model_served.empty()) {
    out.text(keys::kLlmRequestModelName, trace.model_requested);
    out.text(keys::kLlmResponseModelName, trace.model_served);
  }
  out.text(keys::kLlmInvocationParameters, trace.parameters.json);
  const std::span<const Text> reasons = finish_reasons(trace, arena);
  if (!reasons.empty()) out.text(keys::kLlmFinishReason, reasons.front());
  write_usage(trace, out);
  write_values(trace, out);
  std::size_t index = 0;
  for (const Tool& tool : trace.tools) {
    if (tool.json.empty()) continue;
    out.text(join({element(keys::kLlmTools, index++, arena), "tool.json_schema"}, arena),
             tool.json);
  }
  write_texts(out, keys::kLlmPrompts, "prompt.text", trace.prompts, arena);
  write_messages(out, keys::kLlmInputMessages, trace.input_messages, arena);
  if (trace.operation != Operation::kCompletions) {
    write_messages(out, keys::kLlmOutputMessages, trace.output_messages, arena);
    return;
  }
  index = 0;
  for (const Message& choice : trace.output_messages) {
    if (choice.parts.empty() || choice.parts.front().text.empty()) continue;
    out.text(join({element(keys::kLlmChoices, index++, arena), "completion.text"}, arena),
             choice.parts.front().text);
  }
}

// Neither llm.system nor llm.provider may be there.
void write_embedding(const DialectContext& context, AttributeWriter& out) {
  const Trace& trace = context.trace;
  out.text(keys::kEmbeddingModelName, model_of(trace));
  out.text(keys::kEmbeddingInvocationParameters, trace.parameters.json);
  write_usage(trace, out);
  write_values(trace, out);
  write_texts(out, keys::kEmbeddings, "embedding.text", trace.prompts, context.arena);
}

void write_reranker(const DialectContext& context, AttributeWriter& out) {
  const Trace& trace = context.trace;
  out.text(keys::kRerankerModelName, model_of(trace));
  out.text(keys::kRerankerQuery, trace.rerank_query);
  out.integer(keys::kRerankerTopK, trace.rerank_top_k);
  write_usage(trace, out);
  write_values(trace, out);
  write_documents(out, keys::kRerankerInputDocuments, trace.input_documents, context.arena);
  write_documents(out, keys::kRerankerOutputDocuments, trace.output_documents, context.arena);
}

void write_kind(const DialectContext& context, AttributeWriter& out) {
  switch (context.trace.kind) {
    case TraceKind::kLlm:
      return write_llm(context, out);
    case TraceKind::kEmbedding:
      return write_embedding(context, out);
    case TraceKind::kReranker:
      return write_reranker(context, out);
    case TraceKind::kRetriever:
      write_values(context.trace, out);
      return write_documents(out, keys::kRetrievalDocuments, context.trace.output_documents,
                             context.arena);
    default:
      return write_values(context.trace, out);
  }
}

// ---- Spans -------------------------------------------------------------------------------------

void paint_generation(const DialectContext& context, const SpanSlot& slot, Span& span) {
  const Trace& trace = context.trace;
  AttributeWriter out(span.attributes, context.arena);
  // The name of an embedding span is fixed; all others may be chosen.
  if (trace.kind == TraceKind::kEmbedding) {
    span.name = "CreateEmbeddings";
  } else if (span.name.empty()) {
    span.name = openinference_name(trace);
  }
  write_common(context, openinference_kind(trace.kind), gateway_facts(trace, context.arena), out);
  write_status(context, slot, span, out);
  write_kind(context, out);
  write_attributes(trace, out);
  span.dropped_attributes = trace.metadata_dropped;
  if (time_to_first_token(trace)) {
    SpanEvent& event = span.events.emplace_back(context.arena);
    event.name = keys::kFirstTokenEvent;
    event.time = *trace.first_token;
  }
}

void paint_explicit(const DialectContext& context, const SpanSlot& slot, Span& span) {
  const Trace& trace = context.trace;
  paint_generation(context, slot, span);
  // Defaults: the gateway may have named its tool or agent itself.
  AttributeWriter out(span.attributes, context.arena);
  const Text name = trace.name.empty() ? span.name : trace.name;
  if (trace.kind == TraceKind::kTool && !out.has(keys::kToolName)) out.text(keys::kToolName, name);
  if (trace.kind == TraceKind::kAgent && !out.has(keys::kAgentName)) {
    out.text(keys::kAgentName, name);
  }
}

void paint_level(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  write_common(context, "CHAIN", {}, out);
  write_status(context, slot, span, out);
  // Arize previews a trace from its root.
  if (slot.role == SpanRole::kRoot) write_values(context.trace, out);
}

void paint_attempt(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  const ArenaVector<Metadatum> facts = attempt_facts(slot, context.arena);
  out.text(keys::kSpanKind, "CHAIN");
  out.text(keys::kSessionId, context.trace.identity.session_id);
  out.text(keys::kUserId, context.trace.identity.user_id);
  if (context.options.flat_metadata) {
    out.add_outside(keys::kMetadataPrefix, facts);
  } else {
    JsonText text;
    write_metadata(text.writer(), facts, {}, {});
    out.text(keys::kMetadata, text.finish(context.arena));
  }
  write_status(context, slot, span, out);
}

// Attributes of a generation, as a first guess that spares the list from growing again and again.
std::size_t expected_attributes(const Trace& trace) noexcept {
  return 48 + 4 * (trace.input_messages.size() + trace.output_messages.size()) +
         trace.tools.size() + trace.prompts.size() + trace.attributes.size() +
         2 * trace.input_documents.size();
}

void paint(const DialectContext& context, const SpanSlot& slot, Span& span) {
  switch (slot.role) {
    case SpanRole::kRoot:
    case SpanRole::kGroup:
      return paint_level(context, slot, span);
    case SpanRole::kGeneration:
      span.attributes.reserve(expected_attributes(context.trace));
      return paint_generation(context, slot, span);
    case SpanRole::kAttempt:
      return paint_attempt(context, slot, span);
    case SpanRole::kExplicit:
      return paint_explicit(context, slot, span);
  }
}

}  // namespace

SpanSet write_openinference(const Trace& trace, const DialectOptions& options, Arena& arena) {
  return build_tree({trace, options, arena}, &paint);
}

}  // namespace sidecast
