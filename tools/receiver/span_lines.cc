#include "tools/receiver/span_lines.h"

#include <array>
#include <charconv>
#include <cmath>

#include "engine/base/json_writer.h"

namespace sidecast::receiver {
namespace {

using Attributes = google::protobuf::RepeatedPtrField<otlp::KeyValue>;

std::string to_base64(std::string_view bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::string_view group = bytes.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      bits = bits << 8U | (k < group.size() ? static_cast<unsigned char>(group[k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      text.push_back(k <= group.size() ? kDigits[bits >> (18U - 6U * k) & 0x3FU] : '=');
    }
  }
  return text;
}

// The type stays visible: a whole double is written with a fraction.
void write_double(JsonWriter& json, double value) {
  if (std::isnan(value)) {
    json.string("NaN");
  } else if (std::isinf(value)) {
    json.string(value > 0 ? "Infinity" : "-Infinity");
  } else {
    std::array<char, 40> digits;
    char* end = std::to_chars(digits.data(), digits.data() + 32, value).ptr;
    const std::string_view written(digits.data(), static_cast<std::size_t>(end - digits.data()));
    if (written.find_first_of(".e") == std::string_view::npos) {
      *end++ = '.';
      *end++ = '0';
    }
    json.raw({digits.data(), static_cast<std::size_t>(end - digits.data())});
  }
}

void write_attributes(JsonWriter& json, const Attributes& attributes);

void write_value(JsonWriter& json, const otlp::AnyValue& value) {
  switch (value.value_case()) {
    case otlp::AnyValue::kStringValue:
      json.string(value.string_value());
      break;
    case otlp::AnyValue::kBoolValue:
      json.boolean(value.bool_value());
      break;
    case otlp::AnyValue::kIntValue:
      json.integer(value.int_value());
      break;
    case otlp::AnyValue::kDoubleValue:
      write_double(json, value.double_value());
      break;
    case otlp::AnyValue::kArrayValue:
      json.begin_array();
      for (const otlp::AnyValue& item : value.array_value().values()) write_value(json, item);
      json.end_array();
      break;
    case otlp::AnyValue::kKvlistValue:
      write_attributes(json, value.kvlist_value().values());
      break;
    case otlp::AnyValue::kBytesValue:
      json.string(to_base64(value.bytes_value()));
      break;
    case otlp::AnyValue::VALUE_NOT_SET:
      json.null();
      break;
  }
}

void write_attributes(JsonWriter& json, const Attributes& attributes) {
  json.begin_object();
  for (const otlp::KeyValue& attribute : attributes) {
    json.key(attribute.key());
    write_value(json, attribute.value());
  }
  json.end_object();
}

void write_status(JsonWriter& json, const otlp::Status& status) {
  json.begin_object();
  if (status.code() != otlp::Status::STATUS_CODE_UNSET) json.key("code").integer(status.code());
  if (!status.message().empty()) json.key("message").string(status.message());
  json.end_object();
}

void write_event(JsonWriter& json, const otlp::Span::Event& event) {
  json.begin_object();
  json.key("name").string(event.name());
  json.key("timeUnixNano").unsigned_integer(event.time_unix_nano());
  json.key("attributes");
  write_attributes(json, event.attributes());
  json.end_object();
}

void write_link(JsonWriter& json, const otlp::Span::Link& link) {
  json.begin_object();
  json.key("traceId").string(to_hex(link.trace_id()));
  json.key("spanId").string(to_hex(link.span_id()));
  json.key("attributes");
  write_attributes(json, link.attributes());
  json.end_object();
}

void write_rare_fields(JsonWriter& json, const otlp::Span& span) {
  const auto count = [&](std::string_view name, std::uint32_t value) {
    if (value != 0) json.key(name).unsigned_integer(value);
  };
  count("flags", span.flags());
  count("droppedAttributesCount", span.dropped_attributes_count());
  count("droppedEventsCount", span.dropped_events_count());
  count("droppedLinksCount", span.dropped_links_count());
  if (!span.trace_state().empty()) json.key("traceState").string(span.trace_state());
  if (span.links().empty()) return;
  json.key("links").begin_array();
  for (const otlp::Span::Link& link : span.links()) write_link(json, link);
  json.end_array();
}

void write_span(JsonWriter& json, const otlp::Span& span) {
  json.key("traceId").string(to_hex(span.trace_id()));
  json.key("spanId").string(to_hex(span.span_id()));
  json.key("parentSpanId").string(to_hex(span.parent_span_id()));
  json.key("name").string(span.name());
  json.key("kind").integer(span.kind());
  json.key("startTimeUnixNano").unsigned_integer(span.start_time_unix_nano());
  json.key("endTimeUnixNano").unsigned_integer(span.end_time_unix_nano());
  json.key("status");
  write_status(json, span.status());
  json.key("attributes");
  write_attributes(json, span.attributes());
  json.key("events").begin_array();
  for (const otlp::Span::Event& event : span.events()) write_event(json, event);
  json.end_array();
  write_rare_fields(json, span);
}

void write_scope(JsonWriter& json, const otlp::InstrumentationScope& scope) {
  json.begin_object();
  json.key("name").string(scope.name());
  json.key("version").string(scope.version());
  if (!scope.attributes().empty()) {
    json.key("attributes");
    write_attributes(json, scope.attributes());
  }
  json.end_object();
}

void write_note(JsonWriter& json, const RequestNote& note) {
  json.begin_object();
  json.key("path").string(note.path);
  json.key("contentType").string(note.content_type);
  json.key("contentEncoding").string(note.content_encoding);
  json.key("headers").begin_object();
  for (const auto& [name, value] : note.headers) json.key(name).string(value);
  json.end_object().end_object();
}

// The end of a line, the same for all spans of one scope: written once, then copied.
void write_shared_end(const otlp::ResourceSpans& resource_spans,
                      const otlp::ScopeSpans& scope_spans, const RequestNote& note,
                      ByteBuffer& out) {
  JsonWriter json(out);
  json.key("resource");
  write_attributes(json, resource_spans.resource().attributes());
  json.key("scope");
  write_scope(json, scope_spans.scope());
  json.key("request");
  write_note(json, note);
  const std::string& schema_url =
      scope_spans.schema_url().empty() ? resource_spans.schema_url() : scope_spans.schema_url();
  if (!schema_url.empty()) json.key("schemaUrl").string(schema_url);
}

}  // namespace

std::uint64_t count_spans(const otlp::ExportTraceServiceRequest& request) {
  std::uint64_t count = 0;
  for (const otlp::ResourceSpans& resource_spans : request.resource_spans()) {
    for (const otlp::ScopeSpans& scope_spans : resource_spans.scope_spans()) {
      count += static_cast<std::uint64_t>(scope_spans.spans_size());
    }
  }
  return count;
}

void append_span_lines(const otlp::ExportTraceServiceRequest& request, const RequestNote& note,
                       std::uint64_t span_limit, ByteBuffer& out) {
  ByteBuffer shared_end;
  for (const otlp::ResourceSpans& resource_spans : request.resource_spans()) {
    for (const otlp::ScopeSpans& scope_spans : resource_spans.scope_spans()) {
      shared_end.clear();
      write_shared_end(resource_spans, scope_spans, note, shared_end);
      for (const otlp::Span& span : scope_spans.spans()) {
        if (span_limit-- == 0) return;
        JsonWriter json(out);
        json.begin_object();
        write_span(json, span);
        out.push_back(',');
        out.append(shared_end.view());
        out.append("}\n");
      }
    }
  }
}

}  // namespace sidecast::receiver
