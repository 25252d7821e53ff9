// One record of each destination type: privacy, shrinking, and that it is the same again.
#include <algorithm>
#include <string>

#include <gtest/gtest.h>
#include <simdjson.h>

#include "exporters/encode/shorten.h"
#include "exporters/write.h"
#include "tests/unit/exporters/conformance.h"
#include "tests/unit/exporters/firehose_text.h"

namespace sidecast::conformance {
namespace {

// A record with words in every place where content may stand.
std::string written(const Format& format, bool privacy) {
  Arena arena;
  Trace trace(arena);
  trace.identity.generation_id = "gen-1";
  trace.identity.account = "account-1";
  trace.trace_id = hash_trace_id("gen-1");
  trace.model_requested = "a-model";
  trace.input_value = "canary input value";
  trace.output_value = "canary output value";
  Message& asked = trace.input_messages.emplace_back(arena);
  asked.role = "user";
  asked.parts.emplace_back().text = "canary question";
  Message& said = trace.output_messages.emplace_back(arena);
  said.role = "assistant";
  said.parts.emplace_back().text = "canary answer";
  Part& call = said.parts.emplace_back();
  call.kind = PartKind::kToolCall;
  call.name = "lookup";
  call.text = R"({"q":"canary argument"})";
  trace.prompts.push_back("canary prompt");
  trace.rerank_query = "canary query";
  trace.outcome = {.http_status = 500, .failed = true, .error_type = "server_error"};
  trace.outcome.error_message = "canary error";
  trace.attributes.push_back({.key = "note", .value = Text("canary attribute")});
  trace.start = kNow;
  trace.end = kNow + std::chrono::seconds(1);
  ByteBuffer out;
  write_record(trace, format, {.enabled = privacy}, arena, out);
  return format.encoder->name == "firehose_record" ? firehose_text(out.view())
                                                   : std::string(out.view());
}

TEST_P(Conformance, PrivacyModeLeavesNoContent) {
  EXPECT_TRUE(contains(written(exporter_->format(), false), "canary answer"))
      << "else this shows nothing";
  EXPECT_FALSE(contains(written(exporter_->format(), true), "canary"));
}

TEST_P(Conformance, RecordThatIsTooLargeIsShrunkAndItsIdsAreKept) {
  const Format& format = exporter_->format();
  if (type().transport == Transport::kConsole) return;  // its lines are short
  ASSERT_NE(format.encoder->shrink, nullptr);
  const bool is_protobuf = format.encoder->name == "otlp_protobuf";
  // Ids that are longer than any text that is cut: in rows and events, where their place is known.
  const std::string id(format.encoder->name.starts_with("otlp") ? 100 : 500, 'g');
  const auto encoded_with = [&](const std::string& words) {
    Arena arena;
    Trace trace(arena);
    trace.identity.generation_id = id;
    trace.identity.account = "account-1";
    trace.trace_id = hash_trace_id(id);
    trace.model_requested = trace.model_served = "a-model";
    Message& asked = trace.input_messages.emplace_back(arena);
    asked.role = "user";
    asked.parts.emplace_back().text = words;
    Message& said = trace.output_messages.emplace_back(arena);
    said.role = "assistant";
    said.parts.emplace_back().text = "the \"short\" answer\n";
    trace.usage.input = 4711;
    trace.start = kNow;
    trace.end = kNow + std::chrono::seconds(1);
    ByteBuffer out;
    write_record(trace, format, {}, arena, out);
    return std::string(out.view());
  };
  std::string words;
  while (words.size() < 3'000'000) words += "once \"upon\" a größer time\n";
  const std::string whole = encoded_with(words);
  // Raindrop's own bound for a text leaves little.
  const std::size_t bytes_max = std::min<std::size_t>(200'000, whole.size() / 2);
  ByteBuffer out;
  out.append("before");
  ASSERT_TRUE(format.encoder->shrink(whole, bytes_max, out));
  std::string smaller(out.view().substr(6));
  EXPECT_LE(smaller.size(), bytes_max + 1000);
  std::string small = encoded_with("hi");
  if (format.encoder->name == "firehose_record") {
    smaller = firehose_text(smaller);
    small = firehose_text(small);
  }
  EXPECT_TRUE(is_protobuf || is_valid_utf8(smaller));
  EXPECT_TRUE(contains(smaller, "[shortened from "));
  EXPECT_TRUE(contains(smaller, "4711") || !contains(small, "4711"));
  EXPECT_TRUE(contains(smaller, "answer"));
  EXPECT_EQ(contains(smaller, id), contains(small, id));
  const std::string trace_id = to_hex(hash_trace_id(id).view());
  EXPECT_EQ(contains(smaller, trace_id), contains(small, trace_id));
  if (!is_protobuf) {
    std::string document = smaller;
    if (format.encoder->name == "snowflake_row") document = json_unescaped(document);
    simdjson::dom::parser parser;
    EXPECT_EQ(parser.parse("[" + document + "]").error(), simdjson::SUCCESS);
  }
  out.clear();
  EXPECT_FALSE(format.encoder->shrink("nonsense", 10, out));
  EXPECT_EQ(out.size(), 0U);
}

TEST_P(Conformance, ARecordWrittenAgainHasTheSameIdsAndBytes) {
  EXPECT_EQ(written(exporter_->format(), false), written(exporter_->format(), false));
}

}  // namespace
}  // namespace sidecast::conformance
