// Our JSON, read by nlohmann-json, and checked against OTLP's exceptions to proto3's JSON mapping.
#include "exporters/encode/otlp_json.h"

#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <rapidcheck/gtest.h>

#include "exporters/registry.h"
#include "tests/unit/exporters/encode/span_set_generator.h"

namespace sidecast {
namespace {

using nlohmann::json;

bool same_double(const json& read, double wrote) {
  return read.is_number() && read.get<double>() == wrote;
}

bool same_value(const json& read, const AttributeValue& wrote) {
  if (read.size() != 1) return false;  // exactly one member of the oneof, also for empty values
  if (const auto* text = std::get_if<Text>(&wrote)) return read.at("stringValue") == *text;
  if (const auto* integer = std::get_if<std::int64_t>(&wrote)) {
    return read.at("intValue").is_string() && read.at("intValue") == std::to_string(*integer);
  }
  if (const auto* number = std::get_if<double>(&wrote)) {
    return same_double(read.at("doubleValue"), *number);
  }
  if (const auto* flag = std::get_if<bool>(&wrote)) return read.at("boolValue") == *flag;
  const json& values = read.at("arrayValue").at("values");
  if (const auto* texts = std::get_if<std::span<const Text>>(&wrote)) {
    if (values.size() != texts->size()) return false;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i].at("stringValue") != (*texts)[i]) return false;
    }
    return true;
  }
  const auto numbers = std::get<std::span<const double>>(wrote);
  if (values.size() != numbers.size()) return false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!same_double(values[i].at("doubleValue"), numbers[i])) return false;
  }
  return true;
}

bool same_attributes(const json& object, const ArenaVector<Attribute>& wrote) {
  const json read = object.value("attributes", json::array());
  if (read.size() != wrote.size()) return false;
  for (std::size_t i = 0; i < wrote.size(); ++i) {
    if (read[i].at("key") != wrote[i].key) return false;
    if (!same_value(read[i].at("value"), wrote[i].value)) return false;
  }
  return true;
}

void check_span(const json& read, const Span& wrote) {
  RC_ASSERT(read.at("traceId") == to_hex(wrote.trace_id.view()));
  RC_ASSERT(read.at("spanId") == to_hex(wrote.span_id.view()));
  RC_ASSERT(read.contains("parentSpanId") != wrote.parent_span_id.is_zero());
  if (!wrote.parent_span_id.is_zero()) {
    RC_ASSERT(read.at("parentSpanId") == to_hex(wrote.parent_span_id.view()));
  }
  RC_ASSERT(read.value("flags", 0U) == wrote.flags);
  RC_ASSERT(read.at("name") == wrote.name);
  RC_ASSERT(read.at("kind") == static_cast<int>(wrote.kind));
  RC_ASSERT(read.at("startTimeUnixNano") == std::to_string(unix_ns(wrote.start)));
  RC_ASSERT(read.at("endTimeUnixNano") == std::to_string(unix_ns(wrote.end)));
  RC_ASSERT(read.value("status", json::object()).value("code", 0) ==
            static_cast<int>(wrote.status));
  RC_ASSERT(read.value("status", json::object()).value("message", "") == wrote.status_message);
  RC_ASSERT(read.value("droppedAttributesCount", 0U) == wrote.dropped_attributes);
  RC_ASSERT(same_attributes(read, wrote.attributes));
  const json events = read.value("events", json::array());
  RC_ASSERT(events.size() == wrote.events.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    RC_ASSERT(events[i].at("name") == wrote.events[i].name);
    RC_ASSERT(events[i].at("timeUnixNano") == std::to_string(unix_ns(wrote.events[i].time)));
    RC_ASSERT(same_attributes(events[i], wrote.events[i].attributes));
  }
}

RC_GTEST_PROP(OtlpJson, NlohmannReadsBackWhatWasWritten, ()) {
  Arena arena;
  const Trace trace(arena);
  const Encoder* const encoder = find_encoder("otlp_json");
  RC_ASSERT(encoder != nullptr);
  ByteBuffer body;
  body.append(encoder->prefix);
  std::vector<SpanSet> sets;
  const auto count = *rc::gen::inRange<std::size_t>(1, 4);
  for (std::size_t i = 0; i < count; ++i) {
    if (i != 0) body.append(encoder->separator);
    sets.push_back(SpanSetGenerator(arena).span_set());
    encoder->write(trace, sets.back(), body);
  }
  body.append(encoder->suffix);
  const json request = json::parse(body.view());
  RC_ASSERT(request.at("resourceSpans").size() == count);
  for (std::size_t i = 0; i < count; ++i) {
    const json& entry = request.at("resourceSpans")[i];
    RC_ASSERT(same_attributes(entry.at("resource"), sets[i].resource));
    RC_ASSERT(entry.at("scopeSpans").size() == 1U);
    const json& scope = entry.at("scopeSpans")[0];
    RC_ASSERT(scope.at("scope").at("name") == sets[i].scope_name);
    RC_ASSERT(scope.at("scope").at("version") == sets[i].scope_version);
    RC_ASSERT(scope.at("spans").size() == sets[i].spans.size());
    for (std::size_t k = 0; k < sets[i].spans.size(); ++k) {
      check_span(scope.at("spans")[k], sets[i].spans[k]);
    }
  }
}

TEST(OtlpJson, NumbersThatJsonLacksAreTexts) {
  Arena arena;
  const Trace trace(arena);
  SpanSet set(arena);
  set.resource.push_back({"nan", std::nan("")});
  set.resource.push_back({"up", HUGE_VAL});
  set.resource.push_back({"down", -HUGE_VAL});
  ByteBuffer out;
  encode_otlp_json(trace, set, out);
  const json attributes = json::parse(out.view()).at("resource").at("attributes");
  EXPECT_EQ(attributes[0].at("value").at("doubleValue"), "NaN");
  EXPECT_EQ(attributes[1].at("value").at("doubleValue"), "Infinity");
  EXPECT_EQ(attributes[2].at("value").at("doubleValue"), "-Infinity");
}

}  // namespace
}  // namespace sidecast
