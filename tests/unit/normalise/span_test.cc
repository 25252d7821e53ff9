// Explicit spans: what a gateway ran itself.
#include <string>

#include <gtest/gtest.h>

#include "engine/base/bytes.h"
#include "shm/include/sidecast.h"
#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

class ExplicitSpan : public testing::Test, public RecordFixture {
 protected:
  ExplicitSpan() { record.kind = shm::RecordKind::kSpan; }
};

TEST_F(ExplicitSpan, KindNameIdsAndValuesAreKept) {
  record.span_kind = SIDECAST_SPAN_TOOL;
  record.name = "search";
  record.span_id = "00f067aa0ba902b7";
  record.parent_id = "gen-1";
  record.request = R"({"q":1})";
  record.response = "plain text";
  record.attributes_json = R"({"tool.name":"search"})";
  record.error_type = "timeout";
  const Trace trace = normalise();
  EXPECT_TRUE(trace.is_explicit_span);
  EXPECT_EQ(trace.kind, TraceKind::kTool);
  EXPECT_EQ(trace.name, "search");
  EXPECT_EQ(to_hex(trace.span_id.value().view()), "00f067aa0ba902b7");
  EXPECT_EQ(trace.settings.parent_span_id.value(), hash_span_id("gen-1"));
  EXPECT_EQ(trace.input_value, R"({"q":1})");
  EXPECT_TRUE(trace.input_is_json);
  EXPECT_EQ(trace.output_value, "plain text");
  EXPECT_FALSE(trace.output_is_json);
  EXPECT_EQ(trace.attributes.size(), 1U);
  EXPECT_TRUE(trace.outcome.failed);
}

TEST_F(ExplicitSpan, ASpanUnderAGenerationIsInItsTrace) {
  record.parent_id = "gen-1";
  EXPECT_EQ(normalise().trace_id, hash_trace_id("gen-1"));
  record.trace_json = R"({"trace_id":"t"})";
  EXPECT_EQ(normalise().trace_id, hash_trace_id("t"));
}

TEST_F(ExplicitSpan, EveryKindIsKnown) {
  const TraceKind kinds[] = {TraceKind::kUnknown,   TraceKind::kLlm,       TraceKind::kEmbedding,
                             TraceKind::kChain,     TraceKind::kRetriever, TraceKind::kReranker,
                             TraceKind::kTool,      TraceKind::kAgent,     TraceKind::kGuardrail,
                             TraceKind::kEvaluator, TraceKind::kPrompt,    TraceKind::kUnknown};
  for (std::int32_t kind = 0; kind < 12; ++kind) {
    record.span_kind = kind;
    EXPECT_EQ(normalise().kind, kinds[kind]) << kind;
  }
}

TEST_F(ExplicitSpan, MediaInItsValuesLeave) {
  record.request = R"({"url":"data:image/png;base64,iVBORw0KGgo="})";
  EXPECT_EQ(normalise().input_value, R"({"url":"[image/png, 12 bytes left out]"})");
}

}  // namespace
}  // namespace sidecast
