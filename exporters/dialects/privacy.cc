#include "exporters/dialects/privacy.h"

#include <algorithm>

#include <simdjson.h>

#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/facts.h"

namespace sidecast {
namespace {

// Request parameters that cannot carry a prompt, under the names of all APIs we read. Lists and
// other objects than kGroups never pass: `stop`, `response_format`, `logit_bias` and `metadata` are
// text of the user's.
constexpr Text kPlainParameters[] = {"model",
                                     "temperature",
                                     "top_p",
                                     "top_k",
                                     "min_p",
                                     "top_a",
                                     "n",
                                     "seed",
                                     "max_tokens",
                                     "max_completion_tokens",
                                     "max_output_tokens",
                                     "frequency_penalty",
                                     "presence_penalty",
                                     "repetition_penalty",
                                     "stream",
                                     "parallel_tool_calls",
                                     "service_tier",
                                     "reasoning_effort",
                                     "verbosity",
                                     "logprobs",
                                     "top_logprobs",
                                     "dimensions",
                                     "encoding_format",
                                     "store",
                                     "truncation",
                                     "top_n",
                                     "best_of",
                                     "echo",
                                     "num_ctx",
                                     "num_predict",
                                     "random_seed",
                                     "topP",
                                     "topK",
                                     "maxTokens",
                                     "maxOutputTokens",
                                     "candidateCount",
                                     "frequencyPenalty",
                                     "presencePenalty",
                                     "responseLogprobs"};
// Gemini, Converse, Mistral's conversations and Ollama keep theirs one level down.
constexpr Text kGroups[] = {"generationConfig", "inferenceConfig", "completion_args", "options"};
// Names and words (a model, a tier) are shorter than this; a prompt under a borrowed name is not,
// be it among the parameters or where it was copied to.
constexpr std::size_t kPlainTextBytesMax = 128;

Text plain(Text text) {
  return text.size() <= kPlainTextBytesMax ? text : Text();
}

template <std::size_t N>
bool is_among(const Text (&names)[N], Text name) noexcept {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

void write_plain_parameter(JsonWriter& json, Text name, simdjson::dom::element value) {
  bool flag = false;
  std::int64_t integer = 0;
  double number = 0;
  std::string_view text;
  if (value.get(flag) == simdjson::SUCCESS) {
    json.key(name).boolean(flag);
  } else if (value.get(integer) == simdjson::SUCCESS) {
    json.key(name).integer(integer);
  } else if (value.get(number) == simdjson::SUCCESS) {
    json.key(name).number(number);
  } else if (value.get(text) == simdjson::SUCCESS && text.size() <= kPlainTextBytesMax) {
    json.key(name).string(text);
  }
}

void write_plain_members(JsonWriter& json, simdjson::dom::object object) {
  for (const auto& [name, value] : object) {
    if (is_among(kPlainParameters, name)) write_plain_parameter(json, name, value);
  }
}

Text plain_parameters(Text parameters, Arena& arena) {
  if (parameters.empty()) return {};
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(parameters.data(), parameters.size()).get(object) != simdjson::SUCCESS) {
    return {};
  }
  JsonText text;
  JsonWriter& json = text.writer();
  json.begin_object();
  write_plain_members(json, object);
  for (const auto& [name, value] : object) {
    simdjson::dom::object group;
    if (!is_among(kGroups, name) || value.get(group) != simdjson::SUCCESS) continue;
    json.key(name).begin_object();
    write_plain_members(json, group);
    json.end_object();
  }
  json.end_object();
  return text.finish(arena);
}

void keep_parameters(const Parameters& from, Parameters& to, Arena& arena) {
  to.json = plain_parameters(from.json, arena);
  to.max_tokens = from.max_tokens;
  to.temperature = from.temperature;
  to.top_p = from.top_p;
  to.top_k = from.top_k;
  to.frequency_penalty = from.frequency_penalty;
  to.presence_penalty = from.presence_penalty;
  to.seed = from.seed;
  to.choice_count = from.choice_count;
  to.stream = from.stream;
  to.output_type = plain(from.output_type);
  to.service_tier = plain(from.service_tier);
  to.dimensions = from.dimensions;
  to.encoding_format = plain(from.encoding_format);
}

template <typename T>
void keep_all(const ArenaVector<T>& from, ArenaVector<T>& to) {
  to.assign(from.begin(), from.end());
}

// Never empty where there was one: that is what says that it failed.
Text plain_error_type(Text type) {
  return type.size() <= kPlainTextBytesMax ? type : Text("error");
}

void keep_attempts(const ArenaVector<Attempt>& from, ArenaVector<Attempt>& to) {
  keep_all(from, to);
  for (Attempt& attempt : to) {
    attempt.error_message = {};
    attempt.error_type = plain_error_type(attempt.error_type);
    attempt.model = plain(attempt.model);
    attempt.provider = plain(attempt.provider);
  }
}

// A reason is a code of the provider's; a sentence in its place is content.
bool is_code(Text text) {
  constexpr std::size_t kCodeBytesMax = 64;
  return text.size() <= kCodeBytesMax && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '_' || c == '-' || c == '.' || c == ':' || c == '/';
         });
}

// A document's text goes; which one it was and how it ranked stays.
void keep_documents(const ArenaVector<Document>& from, ArenaVector<Document>& to) {
  for (const Document& document : from) {
    const Text id = is_code(document.id) ? document.id : Text();
    if (!id.empty() || document.score) to.push_back({id, {}, document.score});
  }
}

void keep_reasons(std::span<const Text> from, ArenaVector<Text>& to) {
  for (const Text reason : from) {
    if (is_code(reason)) to.push_back(reason);
  }
}

void keep_facts(const Trace& from, Trace& to) {
  // Their names come from the body as well: what an answer calls its usage.
  for (const Metadatum& fact : from.facts) {
    const auto* const text = std::get_if<Text>(&fact.value);
    if (is_code(fact.key) && (text == nullptr || is_code(*text))) to.facts.push_back(fact);
  }
  // That tools were used is not content; which, and with what, is.
  const auto count = [&to](Text name, std::size_t value) {
    if (value != 0) to.facts.push_back({name, static_cast<std::int64_t>(value), false});
  };
  std::size_t calls = 0;
  for (const Message& message : from.output_messages) {
    calls += static_cast<std::size_t>(
        std::count_if(message.parts.begin(), message.parts.end(),
                      [](const Part& part) { return part.kind == PartKind::kToolCall; }));
  }
  count("tool_count", from.tools.size());
  count("tool_call_count", calls);
}

}  // namespace

Trace redact(const Trace& trace, const std::vector<std::string>& keep, Arena& arena) {
  Trace kept(arena);
  kept.kind = trace.kind;
  kept.operation = trace.operation;
  kept.identity = trace.identity;
  kept.settings = trace.settings;
  kept.trace_id = trace.trace_id;

  kept.provider = plain(trace.provider);
  kept.model_requested = plain(trace.model_requested);
  kept.model_served = plain(trace.model_served);
  kept.response_id = plain(trace.response_id);
  kept.endpoint = trace.endpoint;
  kept.region = plain(trace.region);
  kept.system_fingerprint = plain(trace.system_fingerprint);
  kept.service_tier = plain(trace.service_tier);

  kept.rerank_top_k = trace.rerank_top_k;
  keep_documents(trace.input_documents, kept.input_documents);
  keep_documents(trace.output_documents, kept.output_documents);

  keep_parameters(trace.parameters, kept.parameters, arena);
  kept.usage = trace.usage;
  kept.cost = trace.cost;
  kept.start = trace.start;
  kept.end = trace.end;
  kept.first_token = trace.first_token;
  keep_reasons(finish_reasons(trace, arena), kept.finish_reasons);
  kept.outcome = trace.outcome;
  kept.outcome.error_type = plain_error_type(trace.outcome.error_type);
  kept.outcome.error_message = {};  // may quote the prompt; dialects fall back to the type
  kept.shed = trace.shed;
  keep_all(trace.metadata, kept.metadata);
  keep_all(trace.tags, kept.tags);
  keep_facts(trace, kept);
  for (const Metadatum& attribute : trace.attributes) {
    if (std::find(keep.begin(), keep.end(), attribute.key) != keep.end()) {
      kept.attributes.push_back(attribute);
    }
  }
  keep_attempts(trace.attempts, kept.attempts);
  kept.metadata_dropped = trace.metadata_dropped;

  kept.is_explicit_span = trace.is_explicit_span;
  kept.name = trace.name;
  kept.span_id = trace.span_id;
  return kept;
}

}  // namespace sidecast
