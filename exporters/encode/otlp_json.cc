#include "exporters/encode/otlp_json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "engine/base/json_writer.h"

namespace sidecast {
namespace {

template <std::size_t kSize>
void write_id(JsonWriter& json, Text name, const std::array<unsigned char, kSize>& id) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::array<char, 2 * kSize> text{};
  for (std::size_t i = 0; i < kSize; ++i) {
    text[2 * i] = kDigits[id[i] >> 4U];
    text[2 * i + 1] = kDigits[id[i] & 0xFU];
  }
  json.key(name).string({text.data(), text.size()});
}

// 64-bit integers are texts: a JSON number loses what a double cannot hold.
void write_integer(JsonWriter& json, std::int64_t value) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  json.string({digits.data(), static_cast<std::size_t>(end.ptr - digits.data())});
}

// Before 1970 there is no unsigned time; 0 means unknown.
void write_time(JsonWriter& json, Text name, Timestamp time) {
  write_integer(json.key(name), std::max<std::int64_t>(unix_ns(time), 0));
}

void write_double(JsonWriter& json, double value) {
  if (std::isfinite(value)) {
    json.number(value);
  } else {
    json.string(std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
  }
}

template <typename List, typename Write>
void write_array(JsonWriter& json, const List& list, Write write) {
  json.key("arrayValue").begin_object().key("values").begin_array();
  for (const auto& element : list) {
    json.begin_object();
    write(element);
    json.end_object();
  }
  json.end_array().end_object();
}

void write_value(JsonWriter& json, const AttributeValue& value) {
  const auto text_value = [&json](Text text) { json.key("stringValue").string(text); };
  const auto double_value = [&json](double number) {
    write_double(json.key("doubleValue"), number);
  };
  json.begin_object();
  if (const auto* text = std::get_if<Text>(&value)) {
    text_value(*text);
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    write_integer(json.key("intValue"), *integer);
  } else if (const auto* number = std::get_if<double>(&value)) {
    double_value(*number);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    json.key("boolValue").boolean(*flag);
  } else if (const auto* texts = std::get_if<std::span<const Text>>(&value)) {
    write_array(json, *texts, text_value);
  } else {
    write_array(json, std::get<std::span<const double>>(value), double_value);
  }
  json.end_object();
}

void write_attributes(JsonWriter& json, const ArenaVector<Attribute>& attributes) {
  if (attributes.empty()) return;
  json.key("attributes").begin_array();
  for (const Attribute& attribute : attributes) {
    json.begin_object().key("key").string(attribute.key);
    write_value(json.key("value"), attribute.value);
    json.end_object();
  }
  json.end_array();
}

void write_event(JsonWriter& json, const SpanEvent& event) {
  json.begin_object();
  write_time(json, "timeUnixNano", event.time);
  json.key("name").string(event.name);
  write_attributes(json, event.attributes);
  json.end_object();
}

// Left out when it says nothing, as in protobuf.
void write_status(JsonWriter& json, const Span& span) {
  if (span.status_message.empty() && span.status == StatusCode::kUnset) return;
  json.key("status").begin_object();
  if (!span.status_message.empty()) json.key("message").string(span.status_message);
  if (span.status != StatusCode::kUnset) {
    json.key("code").unsigned_integer(static_cast<std::uint64_t>(span.status));
  }
  json.end_object();
}

void write_span(JsonWriter& json, const Span& span) {
  json.begin_object();
  write_id(json, "traceId", span.trace_id.bytes);
  write_id(json, "spanId", span.span_id.bytes);
  if (!span.parent_span_id.is_zero()) write_id(json, "parentSpanId", span.parent_span_id.bytes);
  if (span.flags != 0) json.key("flags").unsigned_integer(span.flags);
  json.key("name").string(span.name);
  json.key("kind").unsigned_integer(static_cast<std::uint64_t>(span.kind));
  write_time(json, "startTimeUnixNano", span.start);
  write_time(json, "endTimeUnixNano", span.end);
  write_attributes(json, span.attributes);
  if (span.dropped_attributes != 0) {
    json.key("droppedAttributesCount").unsigned_integer(span.dropped_attributes);
  }
  if (!span.events.empty()) {
    json.key("events").begin_array();
    for (const SpanEvent& event : span.events) write_event(json, event);
    json.end_array();
  }
  write_status(json, span);
  json.end_object();
}

}  // namespace

void encode_otlp_json(const Trace& /*trace*/, const SpanSet& set, ByteBuffer& out) {
  JsonWriter json(out);
  json.begin_object();
  json.key("resource").begin_object();
  write_attributes(json, set.resource);
  json.end_object();
  json.key("scopeSpans").begin_array().begin_object();
  json.key("scope").begin_object();
  json.key("name").string(set.scope_name);
  json.key("version").string(set.scope_version);
  json.end_object();
  json.key("spans").begin_array();
  for (const Span& span : set.spans) write_span(json, span);
  json.end_array().end_object().end_array();
  json.end_object();
}

}  // namespace sidecast
