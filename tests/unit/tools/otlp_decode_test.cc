#include "tools/receiver/otlp_decode.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace sidecast::receiver {
namespace {

// A request with one span that has everything, as protobuf's own classes write it.
otlp::ExportTraceServiceRequest whole_request() {
  otlp::ExportTraceServiceRequest request;
  otlp::ResourceSpans& resource_spans = *request.add_resource_spans();
  const auto add = [](auto& owner, const std::string& key) -> otlp::AnyValue& {
    otlp::KeyValue& attribute = *owner.add_attributes();
    attribute.set_key(key);
    return *attribute.mutable_value();
  };
  add(*resource_spans.mutable_resource(), "service.name").set_string_value("gateway");
  otlp::ScopeSpans& scope_spans = *resource_spans.add_scope_spans();
  scope_spans.mutable_scope()->set_name("sidecast");
  scope_spans.mutable_scope()->set_version("1");
  otlp::Span& span = *scope_spans.add_spans();
  span.set_trace_id(
      std::string("\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef", 16));
  span.set_span_id(std::string("\0\x01\x02\x03\x04\x05\x06\x07", 8));
  span.set_parent_span_id("parentid");
  span.set_name("chat gpt-4o é");
  span.set_kind(otlp::Span::SPAN_KIND_CLIENT);
  span.set_start_time_unix_nano(1'700'000'000'123'456'789);
  span.set_end_time_unix_nano(1'700'000'001'000'000'001);
  span.set_flags(0x301);
  span.set_dropped_attributes_count(3);
  add(span, "text").set_string_value("line\nbreak \"quoted\"");
  add(span, "empty text").set_string_value("");
  add(span, "yes").set_bool_value(true);
  add(span, "zero").set_int_value(0);
  add(span, "largest").set_int_value(std::numeric_limits<std::int64_t>::max());
  add(span, "smallest").set_int_value(std::numeric_limits<std::int64_t>::min());
  add(span, "whole double").set_double_value(2);
  add(span, "fraction").set_double_value(0.1);
  add(span, "infinite").set_double_value(-std::numeric_limits<double>::infinity());
  add(span, "nothing");
  add(span, "bytes").set_bytes_value(std::string("\0\xff\xfe!", 4));
  auto& list = *add(span, "list").mutable_array_value();
  list.add_values()->set_string_value("a");
  list.add_values()->set_int_value(-1);
  auto& inner = *add(span, "map").mutable_kvlist_value()->add_values();
  inner.set_key("inner");
  inner.mutable_value()->set_bool_value(false);
  otlp::Span::Event& event = *span.add_events();
  event.set_name("first token");
  event.set_time_unix_nano(1'700'000'000'500'000'000);
  add(event, "n").set_int_value(7);
  span.mutable_status()->set_code(otlp::Status::STATUS_CODE_ERROR);
  span.mutable_status()->set_message("boom");
  return request;
}

// The same, as a JSON sender writes it; ids in mixed case, integers both ways.
constexpr std::string_view kWholeJson = R"({
  "resourceSpans": [{
    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "gateway"}}]},
    "scopeSpans": [{
      "scope": {"name": "sidecast", "version": "1"},
      "spans": [{
        "traceId": "0123456789abcdef0123456789ABCDEF", "spanId": "0001020304050607",
        "parentSpanId": "706172656e746964", "name": "chat gpt-4o \u00e9", "kind": 3,
        "startTimeUnixNano": "1700000000123456789", "endTimeUnixNano": 1700000001000000001,
        "flags": 769, "droppedAttributesCount": 3, "unknownMember": {"x": [1]},
        "attributes": [
          {"key": "text", "value": {"stringValue": "line\nbreak \"quoted\""}},
          {"key": "empty text", "value": {"stringValue": ""}},
          {"key": "yes", "value": {"boolValue": true}},
          {"key": "zero", "value": {"intValue": "0"}},
          {"key": "largest", "value": {"intValue": "9223372036854775807"}},
          {"key": "smallest", "value": {"intValue": -9223372036854775808}},
          {"key": "whole double", "value": {"doubleValue": 2}},
          {"key": "fraction", "value": {"doubleValue": 0.1}},
          {"key": "infinite", "value": {"doubleValue": "-Infinity"}},
          {"key": "nothing", "value": {}},
          {"key": "bytes", "value": {"bytesValue": "AP/+IQ=="}},
          {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": -1}]}}},
          {"key": "map", "value": {"kvlistValue": {"values": [{"key": "inner", "value": {"boolValue": false}}]}}}],
        "events": [{"name": "first token", "timeUnixNano": "1700000000500000000",
                    "attributes": [{"key": "n", "value": {"intValue": 7}}]}],
        "status": {"code": 2, "message": "boom"}
      }]
    }]
  }]
})";

// One span with this member in place of, or next to, the needed ones.
std::string span_json(std::string_view member,
                      std::string_view id = R"("traceId":"0123456789abcdef0123456789abcdef")") {
  return fmt::format(
      R"({{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{},"spanId":"0001020304050607",{}}}]}}]}}]}})",
      id, member);
}

std::string refusal_of(std::string_view json) {
  const auto decoded = decode_export_request(Encoding::kJson, json);
  if (decoded) return "accepted";
  EXPECT_EQ(decoded.error().status, 400);
  return decoded.error().message;
}

TEST(OtlpDecode, ReadsWhatProtobufsOwnClassesWrote) {
  const auto request = whole_request();
  const auto decoded = decode_export_request(Encoding::kProtobuf, request.SerializeAsString());
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->SerializeAsString(), request.SerializeAsString());
}

TEST(OtlpDecode, ReadsTheSameRequestFromJson) {
  const auto decoded = decode_export_request(Encoding::kJson, kWholeJson);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->DebugString(), whole_request().DebugString());
}

TEST(OtlpDecode, EmptyEnvelopesAreFine) {
  EXPECT_TRUE(decode_export_request(Encoding::kJson, R"({"resourceSpans":[]})"));
  EXPECT_TRUE(decode_export_request(Encoding::kJson, "{}"));
  EXPECT_TRUE(decode_export_request(Encoding::kProtobuf, ""));
}

TEST(OtlpDecode, NullMembersCountAsAbsent) {
  EXPECT_EQ(refusal_of(span_json(R"("name":null,"attributes":null,"status":null)")), "accepted");
}

TEST(OtlpDecode, SnakeCaseMembersAreUnknownAndIgnored) {
  const auto decoded =
      parse_export_json(R"({"resource_spans":[{"scope_spans":[{"spans":[{}]}]}]})");
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->resource_spans_size(), 0);
}

TEST(OtlpDecode, HostileJsonIsRefusedWithItsPlace) {
  const std::string spans = "resourceSpans[0].scopeSpans[0].spans[0].";
  EXPECT_EQ(refusal_of("[]"), "must be an object");
  EXPECT_EQ(refusal_of("{"), "the body is not JSON, or not UTF-8");
  EXPECT_EQ(refusal_of("{\"a\":\"\xff\"}"), "the body is not JSON, or not UTF-8");
  EXPECT_EQ(refusal_of(R"({"resourceSpans":{}})"), "resourceSpans: must be an array");
  EXPECT_EQ(refusal_of(span_json(R"("kind":"SPAN_KIND_CLIENT")")),
            spans + "kind: must be an integer, not a name");
  EXPECT_EQ(refusal_of(span_json(R"("kind":6)")), spans + "kind: is not a value of this enum");
  EXPECT_EQ(refusal_of(span_json(R"("startTimeUnixNano":-1)")),
            spans + "startTimeUnixNano: must be an integer in the range of its type");
  EXPECT_EQ(refusal_of(span_json(R"("flags":4294967296)")),
            spans + "flags: must be an integer in the range of its type");
  EXPECT_EQ(refusal_of(span_json(R"("name":7)")), spans + "name: must be a string");
  // base64, as plain protobuf JSON would have it, is not hex.
  EXPECT_EQ(refusal_of(span_json(R"("name":"x")", R"("traceId":"ASNFZ4mrze8BI0VniavN7w==")")),
            spans + "traceId: must be a string of hex digits");
}

TEST(OtlpDecode, HostileAttributeValuesAreRefused) {
  const auto attribute = [](std::string_view value) {
    return refusal_of(span_json(fmt::format(R"("attributes":[{{"key":"k","value":{}}}])", value)));
  };
  const std::string value = "resourceSpans[0].scopeSpans[0].spans[0].attributes[0].value";
  EXPECT_EQ(attribute(R"("plain")"), value + ": must be an object");
  EXPECT_EQ(attribute(R"({"stringValue":"a","intValue":"1"})"),
            value + ".intValue: is a second value");
  EXPECT_EQ(attribute(R"({"intValue":1.5})"),
            value + ".intValue: must be an integer in the range of its type");
  EXPECT_EQ(attribute(R"({"intValue":"9223372036854775808"})"),
            value + ".intValue: must be an integer in the range of its type");
  EXPECT_EQ(attribute(R"({"boolValue":"true"})"), value + ".boolValue: must be true or false");
  EXPECT_EQ(attribute(R"({"bytesValue":"*"})"), value + ".bytesValue: must be a base64 string");
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += R"({"arrayValue":{"values":[)";
  deep += R"({"intValue":1})";
  for (int i = 0; i < 200; ++i) deep += "]}}";
  EXPECT_NE(attribute(deep).find("is nested too deep"), std::string::npos);
}

TEST(OtlpDecode, HostileProtobufIsRefused) {
  std::string bytes = whole_request().SerializeAsString();
  EXPECT_FALSE(decode_export_request(Encoding::kProtobuf, bytes.substr(0, bytes.size() - 1)));
  const std::size_t name = bytes.find("chat gpt-4o");
  ASSERT_NE(name, std::string::npos);
  bytes[name] = '\xff';
  EXPECT_FALSE(decode_export_request(Encoding::kProtobuf, bytes)) << "a string must be UTF-8";
}

TEST(OtlpDecode, IdsMustHaveTheirLengthAndNotBeZero) {
  const auto fault = [](auto change) {
    auto request = whole_request();
    change(*request.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0));
    return check_export_request(request);
  };
  const std::string span = "span 'chat gpt-4o é': ";
  EXPECT_EQ(fault([](otlp::Span&) {}), "");
  EXPECT_EQ(fault([](otlp::Span& s) { s.set_trace_id("short"); }),
            span + "traceId has 5 bytes, not 16");
  EXPECT_EQ(fault([](otlp::Span& s) { s.set_trace_id(std::string(16, '\0')); }),
            span + "traceId is all zero");
  EXPECT_EQ(fault([](otlp::Span& s) { s.set_span_id(""); }), span + "spanId has 0 bytes, not 8");
  EXPECT_EQ(fault([](otlp::Span& s) { s.set_parent_span_id("x"); }),
            span + "parentSpanId has 1 bytes, not 8");
  EXPECT_EQ(fault([](otlp::Span& s) { s.clear_parent_span_id(); }), "") << "a root has no parent";
  EXPECT_EQ(fault([](otlp::Span& s) { s.set_end_time_unix_nano(1); }),
            span + "the span ends before it starts");
}

TEST(OtlpDecode, AttributeKeysMustBeThereAndUnique) {
  auto request = whole_request();
  auto& span = *request.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0);
  span.add_attributes()->set_key("text");
  EXPECT_EQ(check_export_request(request), "span 'chat gpt-4o é': attribute 'text' stands twice");
  span.mutable_attributes()->rbegin()->set_key("");
  EXPECT_EQ(check_export_request(request), "span 'chat gpt-4o é': an attribute has an empty key");
}

}  // namespace
}  // namespace sidecast::receiver
