#include "exporters/encode/portkey_log.h"

#include <algorithm>
#include <chrono>

#include "engine/base/json_writer.h"
#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/content.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/messages.h"
#include "exporters/dialects/names.h"

namespace sidecast {
namespace {

constexpr std::size_t kScratchBytes = 16U * 1024U;

struct Slug {
  Text gen_ai;
  Text portkey;
};

// Where Portkey's slug is not OpenTelemetry's name: the list of its open gateway (src/globals.ts).
constexpr Slug kSlugs[] = {
    {"azure.ai.openai", "azure-openai"},
    {"azure.ai.inference", "azure-ai"},
    {"aws.bedrock", "bedrock"},
    {"gcp.vertex_ai", "vertex-ai"},
    {"gcp.gemini", "google"},
    {"gcp.gen_ai", "google"},
    {"mistral_ai", "mistral-ai"},
    {"x_ai", "x-ai"},
    {"perplexity", "perplexity-ai"},
    {"moonshot_ai", "moonshot"},
    {"together", "together-ai"},
    {"fireworks", "fireworks-ai"},
};

Text slug_of(const Trace& trace, Arena& arena) {
  const Text name = provider_names(trace.provider, arena).gen_ai;
  const auto* const found = std::find_if(std::begin(kSlugs), std::end(kSlugs),
                                         [name](const Slug& slug) { return slug.gen_ai == name; });
  return found == std::end(kSlugs) ? name : found->portkey;
}

// Where the gateway did not say: what the API's own path would be.
Text path_of(Operation operation) noexcept {
  switch (operation) {
    case Operation::kChat:
      return "/v1/chat/completions";
    case Operation::kResponses:
      return "/v1/responses";
    case Operation::kMessages:
      return "/v1/messages";
    case Operation::kCompletions:
      return "/v1/completions";
    case Operation::kEmbeddings:
      return "/v1/embeddings";
    case Operation::kRerank:
      return "/v1/rerank";
    case Operation::kImage:
      return "/v1/images/generations";
    case Operation::kModeration:
      return "/v1/moderations";
    case Operation::kAudio:
    case Operation::kUnknown:
      return "";
  }
  return "";
}

bool is_object(Text value, bool is_json) noexcept {
  return is_json && !value.empty() && value.front() == '{';
}

// In the shape of a chat: scalars of the parameters stay in privacy mode.
void write_made_request(JsonWriter& json, const Trace& trace, Arena& arena) {
  JsonMembers members(json);
  json.begin_object();
  members.text("model", model_of(trace));
  if (trace.input_messages.empty()) {
    members.json("input", input_content(trace, arena));
  } else {
    members.json("messages", input_content(trace, arena));
  }
  members.json("tools", tools_json(trace, arena));
  members.integer("max_tokens", trace.parameters.max_tokens);
  members.number("temperature", trace.parameters.temperature);
  members.number("top_p", trace.parameters.top_p);
  members.integer("seed", trace.parameters.seed);
  json.end_object();
}

void write_usage(JsonWriter& json, const Usage& usage) {
  const Text names[] = {"prompt_tokens", "completion_tokens", "total_tokens"};
  const std::optional<std::int64_t> values[] = {usage.input, usage.output, total_tokens(usage)};
  json.key("usage").begin_object();
  for (std::size_t i = 0; i < std::size(names); ++i) {
    if (values[i]) json.key(names[i]).integer(*values[i]);
  }
  json.end_object();
}

void write_error(JsonWriter& json, const Failure& failure) {
  json.key("error").begin_object();
  json.key("type").string(failure.type);
  if (!failure.message.empty()) json.key("message").string(failure.message);
  json.end_object();
}

void write_choices(JsonWriter& json, const Trace& trace, Arena& arena) {
  const ArenaVector<FlatMessage> messages = flatten_messages(trace.output_messages, arena);
  const std::span<const Text> reasons = finish_reasons(trace, arena);
  json.key("choices").begin_array();
  for (std::size_t i = 0; i < std::max(messages.size(), reasons.size()); ++i) {
    json.begin_object();
    json.key("index").unsigned_integer(i);
    if (i < messages.size()) write_chat_message(json.key("message"), messages[i], arena);
    if (i < reasons.size()) json.key("finish_reason").string(reasons[i]);
    json.end_object();
  }
  json.end_array();
}

void write_made_response(JsonWriter& json, const Trace& trace, Arena& arena) {
  JsonMembers members(json);
  json.begin_object();
  members.text("id", trace.response_id);
  members.text("model", model_of(trace));
  const bool has_choices = !trace.output_messages.empty() || !trace.finish_reasons.empty();
  if (has_choices) {
    write_choices(json, trace, arena);
  } else {
    members.json("output", output_content(trace, arena));
  }
  if (const Failure failure = failure_of(trace); failure.happened) write_error(json, failure);
  if (!trace.is_explicit_span) write_usage(json, trace.usage);
  json.end_object();
}

void write_headers(JsonWriter& json) {
  json.key("headers").begin_object().key("content-type").string("application/json").end_object();
}

void write_request(JsonWriter& json, const Trace& trace, Arena& arena) {
  json.key("request").begin_object();
  json.key("url").string(trace.endpoint.empty() ? path_of(trace.operation) : trace.endpoint);
  JsonMembers(json).text("provider", slug_of(trace, arena));
  json.key("method").string("POST");
  write_headers(json);
  json.key("body");
  if (is_object(trace.input_value, trace.input_is_json)) {
    json.raw(trace.input_value);
  } else {
    write_made_request(json, trace, arena);
  }
  json.end_object();
}

// Portkey takes no status for success, so a failure needs one. 499: the client went away.
std::int64_t status_of(const Trace& trace) noexcept {
  if (trace.outcome.http_status != 0) return trace.outcome.http_status;
  if (trace.outcome.aborted) return 499;
  return failure_of(trace).happened ? 500 : 200;
}

void write_response(JsonWriter& json, const Trace& trace, Arena& arena) {
  json.key("response").begin_object();
  json.key("status").integer(status_of(trace));
  write_headers(json);
  // Vectors are numbers that nobody reads there.
  const bool is_kept = trace.kind != TraceKind::kEmbedding;
  json.key("body");
  if (is_kept && is_object(trace.output_value, trace.output_is_json)) {
    json.raw(trace.output_value);
  } else {
    write_made_response(json, trace, arena);
  }
  json.key("response_time")
      .number(std::chrono::duration<double, std::milli>(trace.end - trace.start).count());
  json.key("streamingMode").boolean(trace.parameters.stream || trace.first_token.has_value());
  json.end_object();
}

// Pairs of a name and a scalar: what is nested is one text.
void write_pair(JsonWriter& json, const Metadatum& metadatum) {
  const Text* const text = std::get_if<Text>(&metadatum.value);
  if (metadatum.is_json && text != nullptr) {
    json.string(*text);
  } else {
    write_json(json, metadatum);
  }
}

// Ours first; a key of the user's with one of these names would be there twice. `organization` is
// Portkey's own and stays its own.
void write_metadata_pairs(JsonWriter& json, const Trace& trace, const Span& call, Arena& arena) {
  constexpr Text kOurs[] = {
      "traceId",    "spanId",         "spanName",        "parentSpanId", "startTime", "endTime",
      "user",       "_user",          "session_id",      "model",        "provider",  "cost_usd",
      "error_type", "input_cost_usd", "output_cost_usd", "organization"};
  const TraceSettings& settings = trace.settings;
  const Identity& identity = trace.identity;
  JsonMembers members(json);
  json.key("metadata").begin_object();
  members.text("traceId",
               settings.trace_id_text.empty() ? identity.generation_id : settings.trace_id_text);
  members.text("spanId", to_hex(call.span_id.view()));
  members.text("spanName", call.name);
  members.text("parentSpanId", settings.parent_span_id
                                   ? Text(to_hex(settings.parent_span_id->view()))
                                   : settings.parent_span_id_text);
  members.integer("startTime", unix_ns(trace.start));
  members.integer("endTime", unix_ns(trace.end));
  members.text("user", identity.user_id);
  members.text("_user", identity.user_id);  // the name by which its analytics group
  members.text("session_id", identity.session_id);
  members.text("model", model_of(trace));
  members.text("provider", slug_of(trace, arena));
  // A stream that stops half-way has a status of success.
  members.text("error_type", failure_of(trace).type);
  members.number("cost_usd", trace.cost.total);
  members.number("input_cost_usd", trace.cost.input);
  members.number("output_cost_usd", trace.cost.output);
  for (const Metadatum& metadatum : unique_keys(trace.metadata, arena)) {
    const bool is_ours =
        std::find(std::begin(kOurs), std::end(kOurs), metadatum.key) != std::end(kOurs);
    if (!is_ours) write_pair(json.key(metadatum.key), metadatum);
  }
  for (const Metadatum& fact : gateway_facts(trace, arena)) {
    write_pair(json.key(join({"gateway.", fact.key}, arena)), fact);
  }
  json.end_object();
}

}  // namespace

void encode_portkey_log(const Trace& trace, const SpanSet& set, ByteBuffer& out) {
  Arena arena(kScratchBytes);
  JsonWriter json(out);
  json.begin_object();
  write_request(json, trace, arena);
  write_response(json, trace, arena);
  write_metadata_pairs(json, trace, set.spans[place_of_call(trace, set)], arena);
  json.end_object();
}

}  // namespace sidecast
