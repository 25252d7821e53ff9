// Trace: one record, understood. What every dialect starts from and the only thing it may read.
// Built once per record by engine/normalise; views into the worker's copy of the record and its
// arena, valid until the arena is reset. All text is valid UTF-8.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "engine/base/arena.h"
#include "engine/base/clock.h"
#include "engine/model/ids.h"
#include "engine/model/message.h"
#include "engine/model/usage.h"

namespace sidecast {

// What was asked of the model; named as the data sets and gateways name it.
enum class Operation {
  kUnknown,
  kChat,         // chat completions, Converse, generateContent, ...
  kResponses,    // OpenAI Responses
  kMessages,     // Anthropic messages
  kCompletions,  // legacy text completions
  kEmbeddings,
  kRerank,
  kImage,
  kAudio,
  kModeration,
};

// The kinds of reference "conventions" §1.2. A generation record has kLlm, kEmbedding or kReranker;
// the rest come with explicit spans.
enum class TraceKind {
  kLlm,
  kEmbedding,
  kChain,
  kRetriever,
  kReranker,
  kTool,
  kAgent,
  kGuardrail,
  kEvaluator,
  kPrompt,
  kUnknown,
};

// A scalar as JSON knows it; integers keep their type. monostate is null.
using Scalar = std::variant<std::monostate, bool, std::int64_t, double, Text>;

// A named value the user or the gateway attached. Objects and arrays stay JSON text.
struct Metadatum {
  Text key;
  Scalar value;
  bool is_json = false;  // value is Text holding a JSON object or array
};

// Request parameters that have attributes of their own; `json` is all of them.
struct Parameters {
  Text json;  // request without messages, tools, input and the like: an object as JSON text, or
              // empty
  std::optional<std::int64_t> max_tokens;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<double> top_k;
  std::optional<double> frequency_penalty;
  std::optional<double> presence_penalty;
  std::optional<std::int64_t> seed;
  std::optional<std::int64_t> choice_count;
  bool stream = false;
  Text output_type;  // text | json | image | speech, or empty when none was asked for
  Text service_tier;
  std::optional<std::int64_t> dimensions;  // embeddings
  Text encoding_format;                    // embeddings
  ArenaVector<Text> stop_sequences;
  explicit Parameters(Arena& arena) : stop_sequences(arena.resource()) {}
};

struct Identity {
  Text generation_id;  // never empty after normalise: made from ring, lane and sequence if absent
  bool generation_id_is_made = false;
  Text account;
  Text api_key_id;
  Text api_key_name;
  Text user_id;
  Text session_id;
};

// The request's `trace` object, taken apart.
struct TraceSettings {
  Text trace_id_text;            // as sent; empty when none was
  bool trace_id_hashed = false;  // trace_id is a hash of the text above
  Text trace_name;
  Text span_name;
  Text generation_name;
  Text parent_span_id_text;  // as sent
  std::optional<SpanId> parent_span_id;
};

struct Attempt {
  Text provider;
  Text model;
  Text endpoint;
  Timestamp start;
  Timestamp end;
  std::int32_t http_status = 0;  // 0 = none came
  Text error_type;               // empty = succeeded
  Text error_message;            // content: leaves with privacy mode
};

struct Outcome {
  std::int32_t http_status = 0;  // 0 = not known
  bool failed = false;
  bool aborted = false;  // the client went away before the end
  Text error_type;       // low cardinality; set whenever `failed`
  Text error_message;    // content: leaves with privacy mode
  bool cut = false;      // the answer is a stream that stops before its end, and nobody says why
};

// A document of a rerank request or of its answer. Content leaves with privacy mode, id and score
// stay.
struct Document {
  Text id;  // of a result: the index of the document it ranks
  Text content;
  std::optional<double> score;
};

// What the writer had to leave out, and why a text may be short.
struct Shed {
  bool happened = false;
  std::uint64_t request_bytes = 0;  // sizes of the bodies as the gateway had them
  std::uint64_t response_bytes = 0;
};

struct Trace {
  explicit Trace(Arena& arena)
      : input_messages(arena.resource()),
        output_messages(arena.resource()),
        prompts(arena.resource()),
        input_documents(arena.resource()),
        output_documents(arena.resource()),
        tools(arena.resource()),
        parameters(arena),
        finish_reasons(arena.resource()),
        metadata(arena.resource()),
        tags(arena.resource()),
        facts(arena.resource()),
        attributes(arena.resource()),
        attempts(arena.resource()) {}

  TraceKind kind = TraceKind::kLlm;
  Operation operation = Operation::kUnknown;
  Identity identity;
  TraceSettings settings;
  TraceId trace_id;

  // The call.
  Text provider;  // who served it, as the gateway or the body names it ("OpenAI", "aws_bedrock")
  Text model_requested;
  Text model_served;
  Text response_id;
  Text endpoint;
  Text region;
  Text system_fingerprint;
  Text service_tier;  // of the response

  // Content: all of this leaves with privacy mode. For APIs that are not taken apart, input_value
  // and output_value are all there is.
  Text input_value;   // the request body, media scrubbed
  Text output_value;  // the response body, or the assembled stream as one response body
  bool input_is_json = false;
  bool output_is_json = false;
  ArenaVector<Message> input_messages;   // a separate system prompt is message 0
  ArenaVector<Message> output_messages;  // one per choice
  ArenaVector<Text> prompts;             // legacy completions, embeddings: the input texts
  Text rerank_query;
  std::optional<std::int64_t> rerank_top_k;
  ArenaVector<Document> input_documents;
  ArenaVector<Document> output_documents;  // in the order of the answer
  ArenaVector<Tool> tools;

  // What is always kept.
  Parameters parameters;
  Usage usage;
  Cost cost;
  Timestamp start;
  Timestamp end;
  std::optional<Timestamp> first_token;
  // One per choice, as received; also where there are no messages (shed records, privacy mode).
  ArenaVector<Text> finish_reasons;
  Outcome outcome;
  Shed shed;
  ArenaVector<Metadatum> metadata;  // all other keys of the request's `trace` object
  ArenaVector<Text> tags;           // the texts of its `tags` list, which stays in metadata as well
  // What an answer says that has no field here: native_finish_reason, is_byok,
  // upstream_inference_cost, search_units, ... Numbers, flags and short names only, never content.
  ArenaVector<Metadatum> facts;
  ArenaVector<Metadatum> attributes;  // free-form attributes of the record
  ArenaVector<Attempt> attempts;
  std::uint32_t metadata_dropped = 0;  // keys over the cap
  std::uint32_t ids_cut = 0;           // user and session ids over their limit

  // Explicit span records only: its name and ids as the gateway gave them. Its parent stands in
  // settings.parent_span_id, its input and output in input_value and output_value.
  bool is_explicit_span = false;
  Text name;
  std::optional<SpanId> span_id;
};

}  // namespace sidecast
