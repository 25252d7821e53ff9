// Whatever bodies a record holds, its spans are valid OTLP in every dialect, and protobuf and JSON
// say the same. Judged by the receiver's decoder, which shares nothing with the encoders.
//
// An input is text: OPERATION PROVIDER ENDPOINT STATUS in the first line, then the request, a line
// "----", then the response.
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/normalise/normalise.h"
#include "exporters/registry.h"
#include "exporters/write.h"
#include "tools/receiver/otlp_decode.h"

namespace {

using namespace sidecast;

// What stands before `mark`; `rest` goes on behind it, or is empty when there is no mark.
std::string_view cut(std::string_view& rest, std::string_view mark) {
  const std::size_t at = rest.find(mark);
  const std::string_view before = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + mark.size());
  return before;
}

shm::RecordView record_of(std::string_view input) {
  shm::RecordView record;
  std::string_view first_line = cut(input, "\n");
  record.operation = cut(first_line, " ");
  record.provider = cut(first_line, " ");
  record.endpoint = cut(first_line, " ");
  std::from_chars(first_line.data(), first_line.data() + first_line.size(), record.http_status);
  record.request = cut(input, "\n----\n");
  record.response = input;
  record.request_bytes = record.request.size();
  record.response_bytes = record.response.size();
  // Every text of a record may be anything; the body that is being changed anyway serves.
  record.trace_json = record.request;
  record.attributes_json = record.response;
  record.session_id = record.operation;
  record.generation_id = "generation";
  record.start_ns = 1'700'000'000'000'000'000;
  record.end_ns = record.start_ns + 1'000'000;
  return record;
}

// The spans as the sink would read them; an encoder's bytes that it refuses are a bug.
receiver::otlp::ExportTraceServiceRequest written(const Trace& trace, const DialectEntry& dialect,
                                                  std::string_view encoder_name, bool privacy,
                                                  Arena& arena) {
  Format format;
  format.dialect = &dialect;
  format.encoder = find_encoder(encoder_name);
  SIDECAST_ASSERT(format.encoder != nullptr);
  ByteBuffer encoded;
  const std::uint32_t spans =
      write_record(trace, format, {.enabled = privacy, .keep = nullptr}, arena, encoded);
  std::string body(format.encoder->prefix);
  body.append(encoded.view());
  body.append(format.encoder->suffix);
  const auto encoding =
      encoder_name == "otlp_json" ? receiver::Encoding::kJson : receiver::Encoding::kProtobuf;
  auto decoded = receiver::decode_export_request(encoding, body);
  SIDECAST_ASSERT(decoded.has_value());
  int found = 0;
  for (const auto& resource : decoded->resource_spans()) {
    for (const auto& scope : resource.scope_spans()) found += scope.spans_size();
  }
  SIDECAST_ASSERT(static_cast<std::uint32_t>(found) == spans);
  return *std::move(decoded);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Normaliser normaliser;
  static Arena arena;
  const shm::RecordView record = record_of({reinterpret_cast<const char*>(data), size});
  for (const bool privacy : {false, true}) {
    arena.reset();
    const Trace trace = normaliser.normalise(record, shm::RingUuid{}, 0, {}, arena);
    for (const DialectEntry& dialect : dialects()) {
      const auto protobuf = written(trace, dialect, "otlp_protobuf", privacy, arena);
      const auto json = written(trace, dialect, "otlp_json", privacy, arena);
      SIDECAST_ASSERT(protobuf.SerializeAsString() == json.SerializeAsString());
    }
  }
  return 0;
}
