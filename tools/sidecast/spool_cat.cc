// sidecast spool cat: the records that wait, decoded by the receiver's own reader. Texts are
// content until a person asks for them: names, ids, times and numbers are not.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <unistd.h>

#include "engine/base/json_writer.h"
#include "tools/receiver/otlp_decode.h"
#include "tools/receiver/span_lines.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/spool.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

namespace otlp = receiver::otlp;

// Attributes that say what kind of a call it was, and nothing of what was said.
constexpr std::array<std::string_view, 6> kShown = {
    "gen_ai.operation.name", "gen_ai.system",  "gen_ai.request.model",
    "gen_ai.response.model", "llm.model_name", "openinference.span.kind"};

template <typename Attributes>
void redact(Attributes* attributes) {
  for (auto& attribute : *attributes) {
    if (std::find(kShown.begin(), kShown.end(), attribute.key()) != kShown.end()) continue;
    auto& value = *attribute.mutable_value();
    const bool is_number =
        value.has_int_value() || value.has_double_value() || value.has_bool_value();
    if (is_number) continue;
    value.set_string_value(fmt::format("({} bytes)", value.has_string_value()
                                                         ? value.string_value().size()
                                                         : value.ByteSizeLong()));
  }
}

void redact(otlp::ExportTraceServiceRequest& request) {
  for (auto& resource : *request.mutable_resource_spans()) {
    for (auto& scope : *resource.mutable_scope_spans()) {
      for (auto& span : *scope.mutable_spans()) {
        redact(span.mutable_attributes());
        for (auto& event : *span.mutable_events()) redact(event.mutable_attributes());
        if (!span.status().message().empty()) span.mutable_status()->set_message("(redacted)");
      }
    }
  }
}

// The record's spans as JSON lines; empty when its encoding is none that we read.
std::string span_lines(const spool::Frame& frame, Bytes record, bool show_content) {
  const std::string& encoder = frame.head.form.encoder;
  const bool is_json = encoder == "otlp_json";
  if (!is_json && encoder != "otlp_protobuf") return {};
  const std::string whole =
      is_json ? fmt::format(R"({{"resourceSpans":[{}]}})", record) : std::string(record);
  auto request = receiver::decode_export_request(
      is_json ? receiver::Encoding::kJson : receiver::Encoding::kProtobuf, whole);
  if (!request) return {};
  if (!show_content) redact(*request);
  ByteBuffer lines;
  receiver::append_span_lines(*request, {}, receiver::count_spans(*request), lines);
  return std::string(lines.view());
}

void write_record(JsonWriter& json, const spool::Frame& frame, const spool::FrameRecord& record,
                  Bytes encoded, bool show_content) {
  const auto text = [](Bytes bytes) { return printable(bytes, bytes.size()); };
  json.key("generationId").string(text(record.fields.generation_id));
  json.key("traceId").string(to_hex(
      {reinterpret_cast<const char*>(&record.fields.trace_id), sizeof record.fields.trace_id}));
  json.key("account").string(text(record.fields.account));
  json.key("apiKey").string(text(record.fields.api_key_name));
  json.key("startTimeUnixNano").integer(record.fields.start_ns);
  json.key("encoding").string(text(frame.head.form.encoder));
  json.key("dialect").string(text(frame.head.form.dialect));
  json.key("bytes").unsigned_integer(record.encoded_bytes);
  json.key("spanCount").unsigned_integer(record.fields.span_count);
  std::string lines = span_lines(frame, encoded, show_content);
  if (lines.empty()) return;
  json.key("spans").begin_array();
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = lines.find('\n', at);
    json.raw(Text(lines).substr(at, end - at));
    at = end + 1;
  }
  json.end_array();
}

// False: the batch is damaged.
bool print_frame(const SpoolSegment& segment, const spool::SegmentFile::Found& found,
                 const SpoolOptions& options) {
  const std::vector<std::string> names = waiting_names(segment, found);
  const bool is_wanted =
      options.destination.empty()
          ? !names.empty()
          : std::find(names.begin(), names.end(), options.destination) != names.end();
  if (!is_wanted) return true;
  const auto whole = segment.read(found);
  if (!whole) return access(segment.path.c_str(), F_OK) != 0;  // it was delivered meanwhile
  const auto frame = spool::parse_frame(*whole, segment.file->id(), found.offset);
  if (!frame) return false;
  std::string plain;
  const auto records = spool::cut_body(*frame, plain);
  if (!records) return false;
  for (std::size_t i = 0; i < records->size(); ++i) {
    ByteBuffer buffer;
    JsonWriter json(buffer);
    json.begin_object();
    write_record(json, *frame, frame->records[i], (*records)[i], options.show_content);
    json.key("destinations").begin_array();
    for (const std::string& name : names) json.string(printable(name, name.size()));
    json.end_array().end_object();
    fmt::print("{}\n", buffer.view());
  }
  return true;
}

}  // namespace

int cat_spool(const SpoolOptions& options) {
  const auto directory = find_spool_dir(options);
  if (!directory) {
    print_error("spool cat: " + directory.error().message());
    return kExitUsage;
  }
  const auto segments = read_spool(*directory, spool::SegmentFile::Access::kRead);
  if (!segments) {
    print_error("spool cat: " + segments.error().message());
    return kExitFailed;
  }
  bool is_sound = true;
  for (const SpoolSegment& segment : *segments) {
    is_sound = is_sound && segment.file != nullptr;
    for (const auto& found : segment.scan.frames) {
      is_sound = print_frame(segment, found, options) && is_sound;
    }
  }
  if (is_sound) return kExitDone;
  print_error("spool cat: not all of it can be read; see 'sidecast spool check'");
  return kExitFailed;
}

}  // namespace sidecast
