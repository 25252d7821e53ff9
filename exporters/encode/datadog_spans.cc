#include "exporters/encode/datadog_spans.h"

#include <algorithm>
#include <optional>

#include <simdjson.h>

#include "engine/base/json_writer.h"
#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/messages.h"
#include "exporters/dialects/names.h"

namespace sidecast {
namespace {

constexpr std::size_t kScratchBytes = 16U * 1024U;

Text kind_name(TraceKind kind) noexcept {
  switch (kind) {
    case TraceKind::kLlm:
      return "llm";
    case TraceKind::kEmbedding:
      return "embedding";
    case TraceKind::kRetriever:
    case TraceKind::kReranker:
      return "retrieval";
    case TraceKind::kTool:
      return "tool";
    case TraceKind::kAgent:
      return "agent";
    case TraceKind::kChain:
      return "workflow";
    default:
      return "task";
  }
}

void write_content(JsonWriter& json, const FlatMessage& message, Arena& arena) {
  Text content;
  for (const Part* part : message.content) {
    if (part->kind == PartKind::kReasoning) continue;
    const Text text = is_media(part->kind) ? media_note(*part, arena) : part->text;
    content = content.empty() ? text : join({content, "\n", text}, arena);
  }
  json.key("content").string(content);
}

// Arguments are an object there; what a model wrote may be none.
void write_call(JsonWriter& json, const Part& call) {
  json.begin_object();
  json.key("name").string(call.name.empty() ? call.type : call.name);
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  json.key("arguments");
  if (parser.parse(call.text.data(), call.text.size()).get(object) == simdjson::SUCCESS) {
    json.raw(call.text);
  } else {
    json.begin_object().key("value").string(call.text).end_object();
  }
  if (!call.id.empty()) json.key("tool_id").string(call.id);
  json.key("type").string("function");
  json.end_object();
}

void write_messages(JsonWriter& json, const ArenaVector<Message>& messages, Arena& arena) {
  json.key("messages").begin_array();
  for (const FlatMessage& message : flatten_messages(messages, arena)) {
    json.begin_object();
    json.key("role").string(message.role);
    write_content(json, message, arena);
    if (!message.tool_call_id.empty()) json.key("tool_id").string(message.tool_call_id);
    if (!message.calls.empty()) {
      json.key("tool_calls").begin_array();
      for (const Part* call : message.calls) write_call(json, *call);
      json.end_array();
    }
    json.end_object();
  }
  json.end_array();
}

// `value` is the whole as JSON text, for what is no chat.
void write_side(JsonWriter& json, Text name, const ArenaVector<Message>& messages, Text value,
                Arena& arena) {
  if (messages.empty() && value.empty()) return;
  json.key(name).begin_object();
  if (messages.empty()) {
    json.key("value").string(value);
  } else {
    write_messages(json, messages, arena);
  }
  json.end_object();
}

void write_input(JsonWriter& json, const Trace& trace, Arena& arena) {
  if (trace.kind == TraceKind::kEmbedding && !trace.prompts.empty()) {
    json.key("input").begin_object().key("documents").begin_array();
    for (const Text prompt : trace.prompts) {
      json.begin_object().key("text").string(prompt).end_object();
    }
    json.end_array().end_object();
    return;
  }
  write_side(json, "input", trace.input_messages,
             trace.is_explicit_span ? trace.input_value : input_json(trace, arena), arena);
}

void write_output(JsonWriter& json, const Trace& trace, Arena& arena) {
  write_side(json, "output", trace.output_messages,
             trace.is_explicit_span ? trace.output_value : output_json(trace, arena), arena);
}

void write_error(JsonWriter& json, const Failure& failure) {
  if (!failure.happened) return;
  json.key("error").begin_object();
  json.key("type").string(failure.type);
  json.key("message").string(failure.message.empty() ? failure.type : failure.message);
  json.end_object();
}

// The SDKs have them in `meta`, the documentation in its metadata: both.
void write_model(JsonWriter& json, Text model, Text provider) {
  if (!model.empty()) json.key("model_name").string(model);
  if (!provider.empty()) json.key("model_provider").string(provider);
}

void write_call_metadata(JsonWriter& json, const Trace& trace, Text provider, Arena& arena) {
  ArenaVector<Metadatum> more(arena.resource());
  const Text model = model_of(trace);
  if (!model.empty()) more.push_back({"model_name", model, false});
  if (!provider.empty()) more.push_back({"model_provider", provider, false});
  if (trace.parameters.temperature) {
    more.push_back({"temperature", *trace.parameters.temperature, false});
  }
  if (trace.parameters.max_tokens) {
    more.push_back({"max_tokens", *trace.parameters.max_tokens, false});
  }
  write_metadata(json.key("metadata"), trace.metadata, more, gateway_facts(trace, arena));
}

void write_metrics(JsonWriter& json, const Trace& trace) {
  const auto integer = [&json](Text name, std::optional<std::int64_t> value) {
    if (value) json.key(name).integer(*value);
  };
  json.key("metrics").begin_object();
  integer("input_tokens", trace.usage.input);
  integer("output_tokens", trace.usage.output);
  integer("total_tokens", total_tokens(trace.usage));
  integer("cache_read_input_tokens", trace.usage.cache_read);
  integer("cache_write_input_tokens", trace.usage.cache_write);
  integer("reasoning_output_tokens", trace.usage.reasoning);
  if (trace.cost.total) json.key("total_cost").number(*trace.cost.total);
  if (const auto first_token = time_to_first_token(trace)) {
    json.key("time_to_first_token").number(std::chrono::duration<double>(*first_token).count());
  }
  json.end_object();
}

void write_tags(JsonWriter& json, const Trace& trace, Arena& arena) {
  if (trace.tags.empty() && trace.identity.user_id.empty()) return;
  json.key("tags").begin_array();
  if (!trace.identity.user_id.empty()) {
    json.string(join({"user_id:", trace.identity.user_id}, arena));
  }
  for (const Text tag : trace.tags) json.string(tag);
  json.end_array();
}

void write_call_meta(JsonWriter& json, const Trace& trace, Arena& arena) {
  const Text provider = provider_names(trace.provider, arena).gen_ai;
  json.key("kind").string(kind_name(trace.kind));
  write_model(json, model_of(trace), provider);
  write_input(json, trace, arena);
  write_output(json, trace, arena);
  write_error(json, failure_of(trace));
  write_call_metadata(json, trace, provider, arena);
}

void write_level_meta(JsonWriter& json, const Trace& trace, bool is_root, Arena& arena) {
  json.key("kind").string("workflow");
  if (is_root) {
    write_side(json, "input", ArenaVector<Message>(arena.resource()), input_json(trace, arena),
               arena);
    write_side(json, "output", ArenaVector<Message>(arena.resource()), output_json(trace, arena),
               arena);
  }
  write_error(json, failure_of(trace));
}

void write_attempt_meta(JsonWriter& json, const Trace& trace, std::size_t index, Arena& arena) {
  json.key("kind").string("task");
  if (index >= trace.attempts.size()) return;
  const Attempt& attempt = trace.attempts[index];
  write_error(json, failure_of(attempt));
  json.key("metadata").begin_object();
  write_model(json, attempt.model, provider_names(attempt.provider, arena).gen_ai);
  json.key("attempt_index").integer(static_cast<std::int64_t>(index));
  if (attempt.http_status != 0) json.key("status_code").integer(attempt.http_status);
  json.end_object();
}

}  // namespace

void encode_datadog_spans(const Trace& trace, const SpanSet& set, ByteBuffer& out) {
  Arena arena(kScratchBytes);
  JsonWriter json(out);
  const std::size_t call = place_of_call(trace, set);
  for (std::size_t i = 0; i < set.spans.size(); ++i) {
    const Span& span = set.spans[i];
    json.begin_object();
    json.key("name").string(span.name);
    json.key("span_id").string(to_hex(span.span_id.view()));
    json.key("trace_id").string(to_hex(span.trace_id.view()));
    json.key("parent_id")
        .string(span.parent_span_id.is_zero() ? "undefined" : to_hex(span.parent_span_id.view()));
    json.key("start_ns").integer(std::max<std::int64_t>(unix_ns(span.start), 0));
    json.key("duration").integer((span.end - span.start).count());
    json.key("status").string(span.status == StatusCode::kError ? "error" : "ok");
    json.key("meta").begin_object();
    if (i == call) {
      write_call_meta(json, trace, arena);
    } else if (i < call) {
      write_level_meta(json, trace, i == 0, arena);
    } else {
      write_attempt_meta(json, trace, i - call - 1, arena);
    }
    json.end_object();
    if (i == call) write_metrics(json, trace);
    if (!trace.identity.session_id.empty()) {
      json.key("session_id").string(trace.identity.session_id);
    }
    write_tags(json, trace, arena);
    json.end_object();
  }
}

}  // namespace sidecast
