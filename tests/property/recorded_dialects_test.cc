// All recorded exchanges through every dialect: each attribute has a published name and type, lists
// have no gaps, JSON texts are JSON, no media is inlined, and the conventions' own rules hold.
// Where the recordings are missing, the sample of the repository stands in.
#include <cstdlib>
#include <optional>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/normalise/normalise.h"
#include "exporters/registry.h"
#include "tests/support/exchanges.h"
#include "tests/unit/exporters/dialects/published_names.h"
#include "tools/replay/exchanges.h"

namespace sidecast {
namespace {

constexpr Text kTraceObject =
    R"({"trace_name":"root","span_name":"group","trace_id":"free text","environment":"prod",)"
    R"("user_id":"mine","gateway":1,"tags":["a","b"],"deep":{"list":[1,{"x":null}]},"0":"zero"})";

std::optional<Text> text_under(const Span& span, Text key) {
  for (const Attribute& attribute : span.attributes) {
    if (attribute.key != key) continue;
    if (const auto* text = std::get_if<Text>(&attribute.value)) return *text;
  }
  return std::nullopt;
}

bool has_prefix(const Span& span, Text prefix) {
  return std::any_of(span.attributes.begin(), span.attributes.end(),
                     [prefix](const Attribute& a) { return a.key.starts_with(prefix); });
}

class RecordedDialects : public testing::TestWithParam<Text> {
 protected:
  void check(const shm::RecordView& record, const std::string& id) {
    arena_.reset();
    const Trace trace = normaliser_.normalise(record, {}, 0, NormaliseOptions{}, arena_);
    const SpanSet set = dialect_.write(trace, DialectOptions{}, arena_);
    // Root, group, generation, and the attempts that an answer tells of.
    ASSERT_GE(set.spans.size(), 3U) << id;
    ASSERT_LE(set.spans.size(), 3U + trace.attempts.size()) << id;
    for (const Span& span : set.spans) check_span(span, id);
    check_generation(trace, set.spans[2], id);
    ++checked_;
  }

  void check_span(const Span& span, const std::string& id) {
    EXPECT_FALSE(span.trace_id.is_zero() || span.span_id.is_zero()) << id;
    EXPECT_EQ(PublishedNames::list_complaint(span.attributes), "") << id;
    for (const Attribute& attribute : span.attributes) {
      EXPECT_EQ(names_.complaint(attribute), "") << id;
    }
    EXPECT_EQ(span.status_message.find(";base64,"), Text::npos) << id;
    if (dialect_.name != "langfuse") return;
    for (const Attribute& attribute : span.attributes) {
      const bool is_usage = attribute.key.starts_with("gen_ai.usage.");
      EXPECT_FALSE(is_usage) << id << ": would become a usage type of its own";
    }
  }

  void check_generation(const Trace& trace, const Span& span, const std::string& id) {
    if (trace.outcome.failed || trace.outcome.aborted) {
      EXPECT_EQ(span.status, StatusCode::kError) << id;
      EXPECT_FALSE(text_under(span, "error.type").value_or("").empty()) << id;
    } else {
      EXPECT_NE(span.status, StatusCode::kError) << id;
      EXPECT_FALSE(has_prefix(span, "error.")) << id;
    }
    if (trace.outcome.cut) {
      ++cut_;
      EXPECT_EQ(text_under(span, "error.type"), "stream_cut") << id;
      const auto reasons = text_under(span, "finish_reason");
      EXPECT_TRUE(!reasons || *reasons == "error") << id << ": " << *reasons;
    }
    if (dialect_.name == "openinference") {
      const bool is_embedding = trace.kind == TraceKind::kEmbedding;
      EXPECT_EQ(span.name == "CreateEmbeddings", is_embedding) << id;
      EXPECT_EQ(has_prefix(span, "llm.system"), trace.kind == TraceKind::kLlm) << id;
      EXPECT_FALSE(is_embedding && has_prefix(span, "llm.provider")) << id;
    }
    if (dialect_.name == "opik") {
      for (const Attribute& attribute : span.attributes) {
        const bool is_usage = attribute.key.starts_with("gen_ai.usage.");
        EXPECT_TRUE(!is_usage || std::holds_alternative<std::int64_t>(attribute.value))
            << id << ": would fail the whole request";
      }
    }
    const auto output = text_under(span, "gen_ai.output.messages");
    if (!output) return;
    for (const auto& message : nlohmann::json::parse(*output)) {
      EXPECT_TRUE(message.contains("finish_reason")) << id;
      EXPECT_TRUE(message.at("parts").is_array()) << id;
    }
  }

  const DialectEntry& dialect_ = *find_dialect(GetParam());
  const PublishedNames names_{SIDECAST_SOURCE_DIR
                              "/tests/unit/exporters/dialects/published_names.txt",
                              std::string(GetParam())};
  Normaliser normaliser_;
  Arena arena_;
  std::size_t checked_ = 0;
  std::size_t streams_ = 0;
  std::size_t cut_ = 0;
};

TEST_P(RecordedDialects, EveryAttributeIsPublishedAndWellFormed) {
  shm::RecordView record;
  record.generation_id = "gen-1";
  record.session_id = "session";
  record.user_id = "user";
  record.trace_json = kTraceObject;
  record.start_ns = 1'700'000'000'000'000'000;
  record.first_token_ns = record.start_ns + 1'000'000;
  record.end_ns = record.start_ns + 2'000'000;
  const auto visit = [&](const auto& exchange, int status) {
    record.operation = exchange.operation;
    record.provider = exchange.provider;
    record.endpoint = exchange.url_path;
    record.http_status = status;
    record.request = exchange.request;
    record.response = exchange.response;
    check(record, std::string(exchange.id));
    const bool is_stream =
        exchange.response.starts_with("data:") || exchange.response.starts_with("event:");
    // One in sixteen: interop.sdk cuts them all.
    if (!is_stream || status >= 400 || streams_++ % 16 != 0) return;
    record.response = record.response.substr(0, record.response.size() / 2);
    check(record, std::string(exchange.id) + ", cut in the middle");
  };
  const auto recorded = [&](const test::Exchange& exchange) { visit(exchange, exchange.status); };
  if (!test::for_each_exchange("exchanges.jsonl.gz", recorded)) {
    const auto sample =
        replay::Exchanges::load({SIDECAST_SOURCE_DIR "/tools/sample/exchanges.jsonl"});
    ASSERT_TRUE(sample);
    for (std::size_t i = 0; i < sample->size(); ++i) visit((*sample)[i], (*sample)[i].http_status);
  } else {
    test::for_each_exchange("responses_only.jsonl.gz", recorded);
    test::for_each_conversation_call(recorded);
  }
  EXPECT_GT(checked_, 10U);
  EXPECT_GT(cut_, checked_ > 1000 ? 30U : 0U);
}

std::vector<Text> dialect_names() {
  std::vector<Text> names;
  for (const DialectEntry& dialect : dialects()) names.push_back(dialect.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Dialects, RecordedDialects, testing::ValuesIn(dialect_names()),
                         [](const auto& parameter) { return std::string(parameter.param); });

}  // namespace
}  // namespace sidecast
