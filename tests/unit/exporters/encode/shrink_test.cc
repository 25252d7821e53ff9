// Records made smaller after they were encoded: read back by protobuf's own classes and by another
// JSON library.
#include "exporters/encode/shrink.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <rapidcheck/gtest.h>

#include "engine/base/utf8.h"
#include "exporters/encode/otlp_json.h"
#include "exporters/encode/otlp_protobuf.h"
#include "exporters/encode/shorten.h"
#include "exporters/registry.h"
#include "otlp_trace.pb.h"
#include "tests/unit/exporters/encode/span_set_generator.h"

namespace sidecast {
namespace {

namespace otlp = opentelemetry::proto::trace::v1;
using nlohmann::json;

otlp::ResourceSpans read_back(Bytes bytes) {
  otlp::ExportTraceServiceRequest request;
  EXPECT_TRUE(request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  EXPECT_EQ(request.resource_spans_size(), 1);
  return request.resource_spans(0);
}

std::string text_of(const otlp::Span& span, Text key) {
  for (const auto& attribute : span.attributes()) {
    if (attribute.key() == key) return attribute.value().string_value();
  }
  return "(no such attribute)";
}

std::string text_of(const json& record, Text key) {
  for (const json& attribute : record["scopeSpans"][0]["spans"][0]["attributes"]) {
    if (attribute["key"] == key) return attribute["value"]["stringValue"];
  }
  return "(no such attribute)";
}

// One span with a large prompt, messages as JSON text, a small answer, usage and a name.
class Shrink : public ::testing::Test {
 protected:
  Shrink() : set_(arena_) {
    set_.scope_name = "sidecast";
    Span& span = set_.spans.emplace_back(arena_);
    span.trace_id.bytes.fill(0xab);
    span.span_id.bytes.fill(0xcd);
    span.name = "the name";
    span.attributes.push_back({"prompt", Text(prompt_)});
    span.attributes.push_back({"messages", Text(messages_)});
    span.attributes.push_back({"answer", Text(answer_)});
    span.attributes.push_back({"gen_ai.usage.input_tokens", std::int64_t{123'456}});
    span.attributes.push_back({"gen_ai.usage.cost", 0.25});
  }
  // 20 MB in all, with characters of two bytes that a cut must not halve.
  Arena arena_;
  std::string prompt_ = [] {
    std::string text;
    while (text.size() < 15'000'000) text += "größer ";
    return text;
  }();
  std::string messages_ = R"([{"role":"user","parts":[{"type":"text","content":"say )" +
                          std::string(5'000'000, 'x') + R"("}]}, {"role":"assistant"}])";
  std::string answer_ = std::string(3000, 'a');
  SpanSet set_;
};

TEST_F(Shrink, LargestContentIsCutAndMarkedAndAllElseIsKeptInProtobuf) {
  ByteBuffer whole;
  encode_otlp_protobuf(Trace(arena_), set_, whole);
  ByteBuffer out;
  ASSERT_TRUE(shrink_otlp_protobuf(whole.view(), 1U << 20U, out));
  EXPECT_LE(out.size(), 1U << 20U);
  EXPECT_GT(out.size(), 900'000U) << "no more is cut than must be";
  const otlp::ResourceSpans entry = read_back(out.view());
  const otlp::Span& span = entry.scope_spans(0).spans(0);
  const std::string prompt = text_of(span, "prompt");
  EXPECT_TRUE(prompt.starts_with("größer größer "));
  EXPECT_TRUE(prompt.ends_with("…[shortened from 15,000,003 bytes]"))
      << prompt.substr(prompt.size() - 50);
  EXPECT_TRUE(is_valid_utf8(prompt));
  const json messages = json::parse(text_of(span, "messages"));
  const std::string content = messages[0]["parts"][0]["content"];
  EXPECT_TRUE(content.starts_with("say xxx"));
  EXPECT_TRUE(content.ends_with("…[shortened from 5,000,004 bytes]"));
  EXPECT_EQ(messages[1]["role"], "assistant");
  EXPECT_EQ(text_of(span, "answer"), answer_);
  EXPECT_EQ(span.name(), "the name");
  EXPECT_EQ(span.trace_id(), set_.spans[0].trace_id.view());
  EXPECT_EQ(span.span_id(), set_.spans[0].span_id.view());
  EXPECT_EQ(span.attributes(3).value().int_value(), 123'456);
  EXPECT_EQ(span.attributes(4).value().double_value(), 0.25);
}

TEST_F(Shrink, LargestContentIsCutAndMarkedAndAllElseIsKeptInJson) {
  ByteBuffer whole;
  encode_otlp_json(Trace(arena_), set_, whole);
  ByteBuffer out;
  ASSERT_TRUE(shrink_otlp_json(whole.view(), 1U << 20U, out));
  EXPECT_LE(out.size(), 1U << 20U);
  const json record = json::parse(out.view());
  EXPECT_TRUE(text_of(record, "prompt").ends_with("…[shortened from 15,000,003 bytes]"));
  const json messages = json::parse(text_of(record, "messages"));
  const std::string content = messages[0]["parts"][0]["content"];
  EXPECT_TRUE(content.ends_with("…[shortened from 5,000,004 bytes]"));
  EXPECT_EQ(text_of(record, "answer"), answer_);
  const json& span = record["scopeSpans"][0]["spans"][0];
  EXPECT_EQ(span["traceId"], "abababababababababababababababab");
  EXPECT_EQ(span["name"], "the name");
}

TEST_F(Shrink, EncodersOfWholeTracesShrinkWhatTheyWrite) {
  for (const Text name : {"otlp_protobuf", "otlp_json", "trace_json"}) {
    SCOPED_TRACE(name);
    const Encoder& encoder = *find_encoder(name);
    Trace trace(arena_);
    trace.identity.generation_id = "gen-1";
    trace.input_value = prompt_;
    ByteBuffer whole;
    encoder.write(trace, set_, whole);
    ByteBuffer out;
    ASSERT_NE(encoder.shrink, nullptr);
    ASSERT_TRUE(encoder.shrink(whole.view(), 100'000, out));
    EXPECT_LE(out.size(), 100'000U);
    EXPECT_NE(out.view().find("shortened from"), Bytes::npos);
  }
}

TEST_F(Shrink, WhatIsSmallEnoughOrHasNoContentIsLeftAlone) {
  set_.spans[0].attributes.erase(set_.spans[0].attributes.begin(),
                                 set_.spans[0].attributes.begin() + 3);
  ByteBuffer out;
  ByteBuffer protobuf;
  encode_otlp_protobuf(Trace(arena_), set_, protobuf);
  EXPECT_FALSE(shrink_otlp_protobuf(protobuf.view(), 10, out));
  ByteBuffer otlp_json;
  encode_otlp_json(Trace(arena_), set_, otlp_json);
  EXPECT_FALSE(shrink_otlp_json(otlp_json.view(), 10, out));
  EXPECT_EQ(out.size(), 0U);
}

TEST(Shorten, TextsAreCutToOneLevelAndShortOnesKeepTheirs) {
  EXPECT_EQ(level_of({100, 1000, 5000, 9000}, 7100), 3000U);
  EXPECT_EQ(level_of({100, 1000}, 5000), 1000U) << "all fit";
  EXPECT_EQ(level_of({9000, 9000}, 10), kShortenedBytesMin) << "less than that says nothing";
}

TEST(Shorten, JsonWithinJsonStaysJson) {
  const std::string inner = json{{"query", std::string(50'000, '"')}, {"n", 7}}.dump();
  const std::string outer = json{{"arguments", inner}, {"id", "call-1"}}.dump();
  ByteBuffer out;
  ASSERT_TRUE(shorten_json(outer, 4000, {}, out));
  EXPECT_LE(out.size(), 4000U);
  const json read = json::parse(out.view());
  EXPECT_EQ(read["id"], "call-1");
  const json arguments = json::parse(std::string(read["arguments"]));
  EXPECT_EQ(arguments["n"], 7);
  EXPECT_TRUE(std::string(arguments["query"]).ends_with("…[shortened from 50,000 bytes]"));
}

TEST(Shorten, JsonOfManySmallValuesBecomesOneMarker) {
  json list = json::array();
  for (int i = 0; i < 10'000; ++i) list.push_back(i);
  const std::string text = list.dump();
  const json read = json::parse(shortened(text, 500));
  EXPECT_EQ(read, "…[shortened from 48,891 bytes]");
}

TEST(Shorten, WhatIsShortenedTwiceSaysHowLongItWasAtFirst) {
  const std::string once = shortened(std::string(20'971'520, 'x'), 4000);
  const std::string twice = shortened(once, 400);
  EXPECT_EQ(twice.size(), 400U);
  EXPECT_TRUE(twice.ends_with("x…[shortened from 20,971,520 bytes]")) << twice;
  EXPECT_EQ(twice.find("…"), twice.rfind("…"));
  // Somebody's own words, which claim what cannot be.
  const std::string words = std::string(5000, 'x') + "…[shortened from 12 bytes]";
  EXPECT_TRUE(shortened(words, 400).ends_with("[shortened from 5,028 bytes]"));
}

TEST(Shorten, ProseInBracketsIsText) {
  const std::string prose = "[a stage direction] \"Hello\", said " + std::string(1000, 'x') + "]";
  const std::string cut = shortened(prose, 300);
  EXPECT_TRUE(cut.starts_with("[a stage direction] \"Hello\""));
  EXPECT_LE(cut.size(), 300U);
}

TEST(Shorten, EscapesAreNeitherHalvedNorCountedAsCharacters) {
  std::string content;
  for (int i = 0; i < 500; ++i) content += R"(\ud83d\ude00\n\u00e9\\)";
  ByteBuffer out;
  ASSERT_TRUE(shorten_json("{\"a\":\"" + content + "\"}", 700, {}, out));
  const std::string read = json::parse(out.view())["a"];
  EXPECT_TRUE(read.starts_with("😀\né\\😀"));
  EXPECT_TRUE(read.ends_with("…[shortened from 4,000 bytes]")) << read;
}

TEST(Shorten, HostileJsonIsNeverReadBeyondItsEnd) {
  const std::string whole =
      R"({"a":"\ud83d\ude00 )" + std::string(400, 'x') + R"(\\","b":["\u00"]})";
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const std::string text = whole.substr(0, size);  // its own allocation, for the sanitizer
    ByteBuffer out;
    EXPECT_EQ(shorten_json(text, 200, {}, out), size == whole.size());
    EXPECT_LE(shortened(text, 200).size(), 200U);
  }
}

RC_GTEST_PROP(ShrinkProperty, AnyRecordStaysReadableAndKeepsItsIds, ()) {
  Arena arena;
  const SpanSet set = SpanSetGenerator(arena).span_set();
  ByteBuffer whole;
  encode_otlp_protobuf(Trace(arena), set, whole);
  const auto bytes_max = *rc::gen::inRange<std::size_t>(0, whole.size() + 1);
  ByteBuffer out;
  if (!shrink_otlp_protobuf(whole.view(), bytes_max, out)) return;
  otlp::ExportTraceServiceRequest before;
  otlp::ExportTraceServiceRequest after;
  RC_ASSERT(before.ParseFromArray(whole.data(), static_cast<int>(whole.size())));
  RC_ASSERT(after.ParseFromArray(out.data(), static_cast<int>(out.size())));
  const auto& spans_before = before.resource_spans(0).scope_spans(0).spans();
  const auto& spans_after = after.resource_spans(0).scope_spans(0).spans();
  RC_ASSERT(spans_after.size() == spans_before.size());
  for (int i = 0; i < spans_before.size(); ++i) {
    RC_ASSERT(spans_after[i].span_id() == spans_before[i].span_id());
    RC_ASSERT(spans_after[i].name() == spans_before[i].name());
    RC_ASSERT(spans_after[i].attributes_size() == spans_before[i].attributes_size());
  }
}

TEST_F(Shrink, HostileProtobufIsLeftAlone) {
  set_.spans[0].attributes[0].value = Text(prompt_).substr(0, 1000);
  set_.spans[0].attributes[1].value = Text(messages_).substr(0, 1000);
  ByteBuffer whole;
  encode_otlp_protobuf(Trace(arena_), set_, whole);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string cut(whole.view().substr(0, size));
    ByteBuffer out;
    EXPECT_FALSE(shrink_otlp_protobuf(cut, 500, out)) << size;
  }
}

}  // namespace
}  // namespace sidecast
