#include "engine/normalise/normalise.h"

#include <algorithm>

#include "engine/base/test_point.h"
#include "engine/base/utf8.h"
#include "engine/normalise/binary.h"
#include "engine/normalise/body.h"
#include "engine/normalise/detect.h"
#include "engine/normalise/errors.h"
#include "engine/normalise/identity.h"
#include "engine/normalise/multipart.h"
#include "engine/normalise/shed.h"
#include "engine/normalise/span_attributes.h"
#include "engine/normalise/usage.h"
#include "shm/include/sidecast.h"

namespace sidecast {
namespace {

constexpr std::size_t kHeadBytes = 2U << 10U;  // of a body that is no JSON: where to look for model
constexpr std::size_t kTailBytes = 4U << 10U;  // and usage
constexpr std::size_t kOutputBytesKept = 1U << 20U;

TraceKind kind_of_span(std::int32_t kind) noexcept {
  switch (kind) {
    case SIDECAST_SPAN_LLM:
      return TraceKind::kLlm;
    case SIDECAST_SPAN_EMBEDDING:
      return TraceKind::kEmbedding;
    case SIDECAST_SPAN_CHAIN:
      return TraceKind::kChain;
    case SIDECAST_SPAN_RETRIEVER:
      return TraceKind::kRetriever;
    case SIDECAST_SPAN_RERANKER:
      return TraceKind::kReranker;
    case SIDECAST_SPAN_TOOL:
      return TraceKind::kTool;
    case SIDECAST_SPAN_AGENT:
      return TraceKind::kAgent;
    case SIDECAST_SPAN_GUARDRAIL:
      return TraceKind::kGuardrail;
    case SIDECAST_SPAN_EVALUATOR:
      return TraceKind::kEvaluator;
    case SIDECAST_SPAN_PROMPT:
      return TraceKind::kPrompt;
    default:
      return TraceKind::kUnknown;
  }
}

TraceKind kind_of(const Api& api, Operation operation) noexcept {
  if (operation == Operation::kEmbeddings) return TraceKind::kEmbedding;
  if (operation == Operation::kRerank) return TraceKind::kReranker;
  return api.kind;
}

// Times of a record are checked when it is decoded; those of attempts are the gateway's word.
// What a gateway left behind the path may be a key: Gemini's clients send theirs as ?key=.
Text path_of(Text endpoint) noexcept {
  return endpoint.substr(0, endpoint.find_first_of("?#"));
}

Timestamp not_before(Timestamp start, std::int64_t ns) noexcept {
  const Timestamp time = timestamp_from_ns(ns);
  return time < start ? start : time;
}

}  // namespace

struct Normaliser::Impl {
  void read_record(const shm::RecordView& record);
  void read_usage_of_record(const shm::RecordView& record);
  void read_attempts(const shm::RecordView& record);
  void read_small_objects(const shm::RecordView& record);
  void read_bodies(const shm::RecordView& record);
  [[nodiscard]] bool load_request(Bytes bytes);
  void read_request(Bytes bytes);
  void read_response(Bytes bytes);
  [[nodiscard]] bool read_binary(Bytes bytes, Text role, Text& value, ArenaVector<Message>& to);
  void read_answer(JsonValue answer);
  void read_stream(StreamReader& stream);
  // Beginning and end of an answer of `answer_bytes`.
  void read_torn(Bytes head, Bytes tail, std::uint64_t answer_bytes);
  void read_span(const shm::RecordView& record);
  void read_values(const shm::RecordView& record);  // input and output of any other work
  void choose_api(const Api* by_answer);

  [[nodiscard]] Text valid(Bytes bytes) const { return to_valid_utf8(bytes, reading->arena); }

  JsonParser parser;
  Body request;
  Body response;
  Body event;         // of a stream; also the record's small objects
  Body form;          // the fields of an upload
  ByteBuffer output;  // an assembled answer
  // Of the record at hand.
  std::optional<Reading> reading;
  ReportedUsage reported;
  bool has_request = false;
  bool has_form = false;
  bool has_trace_object = false;  // of its own: the body's does not count
  const Api* api = nullptr;
};

Normaliser::Normaliser() : impl_(std::make_unique<Impl>()) {}
Normaliser::~Normaliser() = default;

Trace Normaliser::normalise(const shm::RecordView& record, const shm::RingUuid& ring,
                            std::uint32_t lane, const NormaliseOptions& options, Arena& arena) {
  SIDECAST_POISON_POINT(record.generation_id);
  Trace trace(arena);
  Impl& impl = *impl_;
  Reading& reading = impl.reading.emplace(trace, arena);
  impl.reported = {};
  impl.output.clear();
  impl.output.shrink(kOutputBytesKept);
  read_record_identity(record, ring, lane, reading);
  impl.read_record(record);
  impl.read_small_objects(record);
  if (record.kind == shm::RecordKind::kSpan) {
    impl.read_span(record);
    settle_usage(impl.reported, trace);
  } else {
    impl.read_usage_of_record(record);
    impl.read_attempts(record);
    impl.read_bodies(record);
    settle_usage(impl.reported, trace);
  }
  settle_outcome(trace, arena);
  settle_identity(options, reading);
  return trace;
}

void Normaliser::Impl::read_record(const shm::RecordView& record) {
  Trace& trace = reading->trace;
  trace.start = timestamp_from_ns(record.start_ns);
  trace.end = not_before(trace.start, record.end_ns);
  if (record.first_token_ns != 0)
    trace.first_token = not_before(trace.start, record.first_token_ns);
  trace.provider = valid(record.provider);
  trace.model_requested = valid(record.model_requested);
  trace.model_served = valid(record.model_served);
  trace.endpoint = path_of(valid(record.endpoint));
  trace.region = valid(record.region);
  trace.outcome.http_status = record.http_status;
  trace.outcome.aborted = record.aborted;
  trace.outcome.error_type = valid(record.error_type);
  trace.outcome.error_message = scrub_text(valid(record.error_message), reading->arena);
  trace.shed = {record.shed, record.request_bytes, record.response_bytes};
}

void Normaliser::Impl::read_usage_of_record(const shm::RecordView& record) {
  const auto set = [&record](auto& to, auto value, std::uint32_t flag) {
    if ((record.usage_present & flag) != 0) to = value;
  };
  Usage& usage = reading->trace.usage;
  set(usage.input, record.usage_input_tokens, SIDECAST_USAGE_INPUT);
  set(usage.output, record.usage_output_tokens, SIDECAST_USAGE_OUTPUT);
  set(usage.total, record.usage_total_tokens, SIDECAST_USAGE_TOTAL);
  set(usage.cache_read, record.usage_cache_read_tokens, SIDECAST_USAGE_CACHE_READ);
  set(usage.cache_write, record.usage_cache_write_tokens, SIDECAST_USAGE_CACHE_WRITE);
  set(usage.reasoning, record.usage_reasoning_tokens, SIDECAST_USAGE_REASONING);
  Cost& cost = reading->trace.cost;
  set(cost.total, record.cost_total_usd, SIDECAST_COST_TOTAL);
  set(cost.input, record.cost_input_usd, SIDECAST_COST_INPUT);
  set(cost.output, record.cost_output_usd, SIDECAST_COST_OUTPUT);
}

void Normaliser::Impl::read_attempts(const shm::RecordView& record) {
  for (const shm::AttemptView& source : record.attempts) {
    Attempt& attempt = reading->trace.attempts.emplace_back();
    attempt.provider = valid(source.provider);
    attempt.model = valid(source.model);
    attempt.endpoint = path_of(valid(source.endpoint));
    attempt.start = timestamp_from_ns(source.start_ns);
    attempt.end = not_before(attempt.start, source.end_ns);
    attempt.http_status = source.http_status;
    attempt.error_type = valid(source.error_type);
    attempt.error_message = scrub_text(valid(source.error_message), reading->arena);
  }
}

void Normaliser::Impl::read_small_objects(const shm::RecordView& record) {
  reading->media = &event.media;
  has_trace_object = !record.trace_json.empty() &&
                     event.load(record.trace_json, parser, reading->arena) &&
                     event.root().is_object();
  if (has_trace_object) read_trace_object(event.root(), *reading);
  if (!record.attributes_json.empty() &&
      event.load(record.attributes_json, parser, reading->arena)) {
    record.kind == shm::RecordKind::kSpan ? read_span_attributes(event.root(), *reading)
                                          : read_attributes(event.root(), *reading);
  }
}

void Normaliser::Impl::read_bodies(const shm::RecordView& record) {
  Trace& trace = reading->trace;
  trace.operation = operation_of(record.operation);
  api = nullptr;
  // The answer tells best which API this is, so the request is taken apart after it was seen.
  has_request = !record.request.empty() && load_request(record.request);
  if (record.response.empty()) {
    choose_api(nullptr);
  } else {
    read_response(record.response);
  }
  if (!record.request.empty()) read_request(record.request);
  if (record.shed) read_torn(record.response_head, record.response_tail, record.response_bytes);
  if (trace.operation == Operation::kUnknown) trace.operation = api->operation;
  trace.kind = kind_of(*api, trace.operation);
  set_if_empty(trace.model_requested, model_of_endpoint(trace.endpoint, reading->arena));
}

void Normaliser::Impl::choose_api(const Api* by_answer) {
  const Trace& trace = reading->trace;
  api = by_answer;
  if (api == nullptr && has_request) api = api_of_request(request.root());
  if (api == nullptr) api = api_of_endpoint(trace.endpoint);
  // OpenAI keeps state under Mistral's path; only Mistral's calls have inputs.
  if (api == &kConversations && by_answer == nullptr && has_request &&
      !request.root().find("inputs").is_present()) {
    api = nullptr;
  }
  if (api == nullptr) api = api_of_operation(trace.operation);
  if (api == nullptr) api = &kUnknownApi;
}

bool Normaliser::Impl::load_request(Bytes bytes) {
  Arena& arena = reading->arena;
  has_form = false;
  if (looks_like_multipart(bytes)) bytes = multipart_to_json(bytes, arena);
  if (!request.load(bytes, parser, arena)) return false;
  const JsonValue fields = request.root().find("multipart");
  has_form = fields.is_array() && form.load(form_to_json(fields, arena), parser, arena);
  return true;
}

void Normaliser::Impl::read_request(Bytes bytes) {
  Trace& trace = reading->trace;
  reading->media = &request.media;
  trace.input_is_json = has_request;
  if (!has_request && read_binary(bytes, "user", trace.input_value, trace.input_messages)) return;
  trace.input_value = request.scrubbed(reading->arena);
  if (!has_request || !request.root().is_object()) return;
  if (has_form) reading->media = &form.media;
  const JsonValue root = has_form ? form.root() : request.root();
  read_body_identity(root, *reading);
  if (!has_trace_object) read_trace_object(root.find("trace"), *reading);
  api->read_request(root, *reading);
}

void Normaliser::Impl::read_response(Bytes bytes) {
  Trace& trace = reading->trace;
  Arena& arena = reading->arena;
  const bool is_event_stream = looks_like_event_stream(bytes);
  if (!is_event_stream && !looks_like_sse(bytes) && response.load(bytes, parser, arena)) {
    reading->media = &response.media;
    const JsonValue root = response.root();
    trace.output_is_json = true;
    trace.output_value = response.scrubbed(arena);
    if (root.is_array() && !root.is_empty() && trace.outcome.http_status < 400) {
      StreamReader stream(root, parser, event, *reading);
      read_stream(stream);
    } else {
      choose_api(api_of_answer(root, {}));
      read_answer(root);
    }
    return;
  }
  if (is_event_stream || looks_like_sse(bytes) || bytes.find('\n') != Bytes::npos) {
    StreamReader stream(bytes, parser, event, *reading);
    read_stream(stream);
    if (!trace.output_value.empty()) return;
  }
  choose_api(nullptr);
  if (read_binary(bytes, "assistant", trace.output_value, trace.output_messages)) return;
  trace.output_value = scrub_text(valid(bytes), arena);
  const Bytes head = bytes.substr(0, kHeadBytes);
  const std::size_t tail = std::min(kTailBytes, bytes.size() - head.size());
  read_torn(head, bytes.substr(bytes.size() - tail), bytes.size());
}

// Speech, a picture, an archive: a message that says so. False if it is text.
bool Normaliser::Impl::read_binary(Bytes bytes, Text role, Text& value, ArenaVector<Message>& to) {
  const std::optional<Text> type = binary_type(bytes);
  if (!type) return false;
  value = media_note(*type, bytes.size(), reading->arena);
  Message& message = to.emplace_back(reading->arena);
  message.role = role;
  Part& part = message.parts.emplace_back();
  part.kind = kind_of_mime_type(*type);
  part.mime_type = *type;
  part.omitted_bytes = bytes.size();
  return true;
}

// Which API a stream follows shows in its first events; then they are read again from the start.
void Normaliser::Impl::read_stream(StreamReader& stream) {
  constexpr int kLookedAt = 4;
  const Api* by_answer = nullptr;
  for (int i = 0; i < kLookedAt && by_answer == nullptr; ++i) {
    const std::optional<StreamEvent> first = stream.next();
    if (!first) break;
    by_answer = api_of_answer(first->value, first->name);
  }
  choose_api(by_answer);
  stream.rewind();
  JsonWriter writer(output);
  if (!api->assemble(stream, *reading, writer)) {
    output.clear();
    JsonWriter again(output);
    stream.rewind();
    if (!kUnknownApi.assemble(stream, *reading, again)) return;
    api = &kUnknownApi;
  }
  // An answer like any other now; `response` is free, unless the stream was an array in it.
  if (!event.load(output.view(), parser, reading->arena)) return;
  reading->media = &event.media;
  reading->trace.output_is_json = true;
  reading->trace.output_value = event.scrubbed(reading->arena);
  read_answer(event.root());
  if (api->streams_say_end && !stream.has_ended()) settle_end_of_stream(reading->trace);
}

void Normaliser::Impl::read_answer(JsonValue answer) {
  read_error(answer, reading->trace.outcome.http_status >= 400, *reading);
  if (!answer.is_object()) return;
  Trace& trace = reading->trace;
  api->read_response(answer, *reading);
  if (trace.output_messages.empty() && trace.finish_reasons.empty() && !trace.outcome.failed) {
    // Not what endpoint or operation promised: text may be found all the same.
    kUnknownApi.read_response(answer, *reading);
  }
  find_usage(answer, reported, *reading);
}

void Normaliser::Impl::read_torn(Bytes head, Bytes tail, std::uint64_t answer_bytes) {
  if (head.size() + tail.size() == answer_bytes) {
    // All of a small answer: in one piece, so that no number is lost at the seam.
    char* const whole = reading->arena.allocate(head.size() + tail.size());
    head.copy(whole, head.size());
    tail.copy(whole + head.size(), tail.size());
    scan_torn_answer(valid({whole, head.size() + tail.size()}), reported, parser, event.json,
                     *reading);
    return;
  }
  for (const Bytes piece : {head, tail}) {
    scan_torn_answer(valid(piece), reported, parser, event.json, *reading);
  }
}

void Normaliser::Impl::read_span(const shm::RecordView& record) {
  Trace& trace = reading->trace;
  trace.is_explicit_span = true;
  trace.kind = kind_of_span(record.span_kind);
  trace.name = valid(record.name);
  const Text span_id = valid(record.span_id);
  if (!span_id.empty()) {
    const auto given = parse_span_id(span_id);
    trace.span_id = given ? *given : hash_span_id(span_id);
    trace.identity.generation_id = span_id;
    trace.identity.generation_id_is_made = false;
  }
  const Text parent = valid(record.parent_id);
  if (!parent.empty()) {
    trace.settings.parent_span_id_text = parent;
    const auto given = parse_span_id(parent);
    trace.settings.parent_span_id = given ? *given : hash_span_id(parent);
  }
  const TraceKind kind = trace.kind;
  if (kind == TraceKind::kLlm || kind == TraceKind::kEmbedding || kind == TraceKind::kReranker) {
    // A model call that the gateway tells of as a span: its bodies are read like any other's.
    read_bodies(record);
    trace.kind = kind;
    return;
  }
  read_values(record);
}

void Normaliser::Impl::read_values(const shm::RecordView& record) {
  Trace& trace = reading->trace;
  const auto read = [this](Bytes bytes, Body& body, Text role, Text& value,
                           ArenaVector<Message>& messages) {
    const bool is_json = body.load(bytes, parser, reading->arena);
    if (is_json || !read_binary(bytes, role, value, messages)) {
      value = body.scrubbed(reading->arena);
    }
    return is_json;
  };
  if (!record.request.empty()) {
    trace.input_is_json =
        read(record.request, request, "user", trace.input_value, trace.input_messages);
  }
  if (!record.response.empty()) {
    trace.output_is_json =
        read(record.response, response, "assistant", trace.output_value, trace.output_messages);
  }
  if (trace.kind != TraceKind::kRetriever) return;
  reading->media = &request.media;
  if (trace.input_is_json) read_retrieval_query(request.root(), *reading);
  set_if_empty(trace.rerank_query, trace.input_is_json ? Text() : trace.input_value);
  reading->media = &response.media;
  if (trace.output_is_json) read_retrieved(response.root(), *reading);
}

}  // namespace sidecast
