#include "tools/receiver/span_lines.h"

#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sidecast::receiver {
namespace {

using Json = nlohmann::json;

otlp::ExportTraceServiceRequest two_spans() {
  otlp::ExportTraceServiceRequest request;
  auto& resource_spans = *request.add_resource_spans();
  auto& service = *resource_spans.mutable_resource()->add_attributes();
  service.set_key("service.name");
  service.mutable_value()->set_string_value("gateway");
  auto& scope_spans = *resource_spans.add_scope_spans();
  scope_spans.mutable_scope()->set_name("sidecast");
  scope_spans.mutable_scope()->set_version("0.1");
  for (char id : {'a', 'b'}) {
    auto& span = *scope_spans.add_spans();
    span.set_trace_id(std::string(16, id));
    span.set_span_id(std::string(8, id));
    span.set_name("span \"" + std::string(1, id) + "\"\n");
    span.set_kind(otlp::Span::SPAN_KIND_CLIENT);
    span.set_start_time_unix_nano(1'700'000'000'123'456'789);
    span.set_end_time_unix_nano(1'700'000'000'123'456'790);
  }
  return request;
}

const RequestNote kNote{.path = "/v1/traces",
                        .content_type = "application/json",
                        .content_encoding = "gzip",
                        .headers = {{"api-key", "k"}, {"x", "\"y\""}}};

std::vector<Json> lines_of(const otlp::ExportTraceServiceRequest& request, std::uint64_t limit) {
  ByteBuffer out;
  append_span_lines(request, kNote, limit, out);
  std::vector<Json> lines;
  std::string_view rest = out.view();
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    lines.push_back(Json::parse(rest.substr(0, end)));
    rest.remove_prefix(end + 1);
  }
  return lines;
}

TEST(SpanLines, ALineHasExactlyTheseMembers) {
  const auto lines = lines_of(two_spans(), 10);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0], Json::parse(R"({
    "traceId": "61616161616161616161616161616161", "spanId": "6161616161616161", "parentSpanId": "",
    "name": "span \"a\"\n", "kind": 3,
    "startTimeUnixNano": 1700000000123456789, "endTimeUnixNano": 1700000000123456790,
    "status": {}, "attributes": {}, "events": [],
    "resource": {"service.name": "gateway"}, "scope": {"name": "sidecast", "version": "0.1"},
    "request": {"path": "/v1/traces", "contentType": "application/json", "contentEncoding": "gzip",
                "headers": {"api-key": "k", "x": "\"y\""}}})"));
}

TEST(SpanLines, StopsAtTheLimit) {
  EXPECT_EQ(lines_of(two_spans(), 1).size(), 1U);
  EXPECT_EQ(lines_of(two_spans(), 0).size(), 0U);
  EXPECT_EQ(count_spans(two_spans()), 2U);
}

TEST(SpanLines, EveryKindOfValueKeepsItsType) {
  auto request = two_spans();
  auto& span = *request.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0);
  const auto add = [&](const char* key) -> otlp::AnyValue& {
    auto& attribute = *span.add_attributes();
    attribute.set_key(key);
    return *attribute.mutable_value();
  };
  add("text").set_string_value("\x01 é \\");
  add("yes").set_bool_value(true);
  add("int").set_int_value(-9'007'199'254'740'993);
  add("whole").set_double_value(3);
  add("large").set_double_value(1e300);
  add("nan").set_double_value(std::nan(""));
  add("inf").set_double_value(-HUGE_VAL);
  add("bytes").set_bytes_value(std::string("\0\xff\xfe!", 4));
  add("nothing");
  add("list").mutable_array_value()->add_values()->set_int_value(1);
  auto& inner = *add("map").mutable_kvlist_value()->add_values();
  inner.set_key("k");
  inner.mutable_value()->set_string_value("v");
  const Json attributes = lines_of(request, 1).at(0)["attributes"];
  EXPECT_EQ(attributes["text"], "\x01 é \\");
  EXPECT_EQ(attributes["yes"], true);
  EXPECT_TRUE(attributes["int"].is_number_integer());
  EXPECT_EQ(attributes["int"].get<std::int64_t>(), -9'007'199'254'740'993);
  EXPECT_TRUE(attributes["whole"].is_number_float())
      << "a whole double must not read as an integer";
  EXPECT_EQ(attributes["large"].get<double>(), 1e300);
  EXPECT_EQ(attributes["nan"], "NaN");
  EXPECT_EQ(attributes["inf"], "-Infinity");
  EXPECT_EQ(attributes["bytes"], "AP/+IQ==");
  EXPECT_TRUE(attributes["nothing"].is_null());
  EXPECT_EQ(attributes["list"], Json::array({1}));
  EXPECT_EQ(attributes["map"], Json({{"k", "v"}}));
}

TEST(SpanLines, RareFieldsStandOnlyWhenTheyAreSet) {
  auto request = two_spans();
  auto& span = *request.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0);
  span.set_flags(0x301);
  span.set_trace_state("k=v");
  span.set_dropped_attributes_count(2);
  span.mutable_status()->set_code(otlp::Status::STATUS_CODE_ERROR);
  span.mutable_status()->set_message("boom");
  auto& event = *span.add_events();
  event.set_name("e");
  event.set_time_unix_nano(5);
  const auto lines = lines_of(request, 2);
  EXPECT_EQ(lines[0]["flags"], 0x301);
  EXPECT_EQ(lines[0]["traceState"], "k=v");
  EXPECT_EQ(lines[0]["droppedAttributesCount"], 2);
  EXPECT_EQ(lines[0]["status"], Json({{"code", 2}, {"message", "boom"}}));
  EXPECT_EQ(lines[0]["events"], Json::parse(R"([{"name":"e","timeUnixNano":5,"attributes":{}}])"));
  EXPECT_FALSE(lines[1].contains("flags"));
  EXPECT_FALSE(lines[1].contains("traceState"));
}

}  // namespace
}  // namespace sidecast::receiver
