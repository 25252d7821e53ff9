// Each API's reader and assembler of streams, one by one: whatever the bodies, every text that may
// leave is valid UTF-8 without inlined media, what is called JSON is JSON, and a record comes out.
//
// The first byte of an input selects the API by operation and endpoint, as a gateway would name
// them; then the request, a line "----", the response.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/utf8.h"
#include "engine/normalise/json.h"
#include "engine/normalise/normalise.h"
#include "shm/include/sidecast.h"
#include "tests/support/trace_texts.h"

namespace {

using namespace sidecast;

struct Family {
  std::string_view operation;
  std::string_view endpoint;
};
constexpr std::array<Family, 19> kFamilies = {{
    {"chat", "/v1/chat/completions"},
    {"responses", "/v1/responses"},
    {"completions", "/v1/completions"},
    {"embeddings", "/v1/embeddings"},
    {"image", "/v1/images/generations"},
    {"audio", "/v1/audio/transcriptions"},
    {"messages", "/v1/messages"},
    {"chat", "/v1beta/models/gemini:streamGenerateContent"},
    {"other", "/v1beta/interactions"},
    {"chat", "/model/nova/converse-stream"},
    {"completions", "/model/titan/invoke-with-response-stream"},
    {"chat", "/v2/chat"},
    {"chat", "/v1/chat"},
    {"chat", "/api/chat"},
    {"completions", "/api/generate"},
    {"rerank", "/v1/rerank"},
    {"moderation", "/v1/moderations"},
    {"", "/"},
    {"chat", "/v1/conversations"},
}};

shm::RecordView record_of(std::string_view input) {
  shm::RecordView record;
  const auto selector = static_cast<unsigned char>(input.empty() ? 0 : input.front());
  if (!input.empty()) input.remove_prefix(1);
  const Family& family = kFamilies[selector % kFamilies.size()];
  record.operation = family.operation;
  record.endpoint = family.endpoint;
  record.http_status = selector >= 0x80 ? 400 : 200;
  constexpr std::string_view kMark = "\n----\n";
  const std::size_t at = input.find(kMark);
  record.request = input.substr(0, at);
  if (at != std::string_view::npos) record.response = input.substr(at + kMark.size());
  record.request_bytes = record.request.size();
  record.response_bytes = record.response.size();
  record.start_ns = 1'700'000'000'000'000'000;
  record.end_ns = record.start_ns + 1;
  return record;
}

void check(const Trace& trace, JsonParser& parser) {
  test::for_each_text(trace, [](Text text) {
    SIDECAST_ASSERT(is_valid_utf8(text));
    SIDECAST_ASSERT(text.find(";base64,") == Text::npos);
  });
  JsonDocument json;
  const auto is_json = [&](Text text) { return parser.parse(text, json) == JsonStatus::kOk; };
  SIDECAST_ASSERT(!trace.input_is_json || is_json(trace.input_value));
  SIDECAST_ASSERT(!trace.output_is_json || is_json(trace.output_value));
  SIDECAST_ASSERT(trace.parameters.json.empty() || is_json(trace.parameters.json));
  for (const Tool& tool : trace.tools) SIDECAST_ASSERT(tool.json.empty() || is_json(tool.json));
  SIDECAST_ASSERT(!trace.identity.generation_id.empty());
  SIDECAST_ASSERT(trace.outcome.failed == !trace.outcome.error_type.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Normaliser normaliser;
  static JsonParser parser;
  static Arena arena;
  shm::RecordView record = record_of({reinterpret_cast<const char*>(data), size});
  arena.reset();
  check(normaliser.normalise(record, shm::RingUuid{}, 0, {}, arena), parser);
  // The same bodies as input and output of a span that a gateway wrote itself.
  record.kind = shm::RecordKind::kSpan;
  record.span_kind = static_cast<std::int32_t>(size % (SIDECAST_SPAN_PROMPT + 2));
  record.attributes_json = record.request;
  arena.reset();
  check(normaliser.normalise(record, shm::RingUuid{}, 0, {}, arena), parser);
  return 0;
}
