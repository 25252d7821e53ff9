#include "exporters/dialects/tree.h"

#include <gtest/gtest.h>

#include "exporters/dialects/dialects.h"
#include "exporters/encode/otlp_protobuf.h"
#include "tests/unit/exporters/dialects/trace_fixture.h"

namespace sidecast {
namespace {

constexpr std::uint32_t kLocalParent = 0x101;
constexpr std::uint32_t kRemoteParent = 0x301;

SpanSet tree_of(const Trace& trace, Arena& arena, const DialectOptions& options = {}) {
  return write_generic(trace, options, arena);
}

TEST(Tree, AGenerationAloneIsARootSpan) {
  Arena arena;
  const Trace trace = chat_trace(arena);
  const SpanSet set = tree_of(trace, arena);
  ASSERT_EQ(set.spans.size(), 1U);
  const Span& span = set.spans[0];
  EXPECT_TRUE(span.parent_span_id.is_zero());
  EXPECT_EQ(span.flags, kLocalParent);
  EXPECT_EQ(span.span_id, hash_span_id("gen-1"));
  EXPECT_EQ(span.trace_id, hash_trace_id("gen-1"));
  EXPECT_EQ(span.start, trace.start);
  EXPECT_EQ(span.end, trace.end);
}

//   root "Checkout" -> group "Agent" -> generation "answer" -> attempts 0 and 1
TEST(Tree, NamedLevelsBecomeSpans) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.trace_name = "Checkout";
  trace.settings.span_name = "Agent";
  trace.settings.generation_name = "answer";
  trace.attempts.push_back({"Azure", "m", "", trace.start, trace.end, 503, "overloaded", ""});
  trace.attempts.push_back({"OpenAI", "m", "", trace.start, trace.end, 200, "", ""});
  const SpanSet set = tree_of(trace, arena);
  ASSERT_EQ(set.spans.size(), 5U);
  EXPECT_EQ(set.spans[0].name, "Checkout");
  EXPECT_EQ(set.spans[1].name, "Agent");
  EXPECT_EQ(set.spans[2].name, "answer");
  EXPECT_EQ(set.spans[3].name, "provider attempt 0: Azure");
  EXPECT_EQ(set.spans[4].name, "provider attempt 1: OpenAI");
  EXPECT_TRUE(set.spans[0].parent_span_id.is_zero());
  EXPECT_EQ(set.spans[1].parent_span_id, set.spans[0].span_id);
  EXPECT_EQ(set.spans[2].parent_span_id, set.spans[1].span_id);
  EXPECT_EQ(set.spans[3].parent_span_id, set.spans[2].span_id);
  EXPECT_EQ(set.spans[4].parent_span_id, set.spans[2].span_id);
  EXPECT_EQ(set.spans[3].span_id, hash_span_id("gen-1:attempt-0"));
  for (const Span& span : set.spans) EXPECT_EQ(span.trace_id, trace.trace_id);
}

TEST(Tree, MissingLevelsAreSkipped) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.span_name = "Agent";
  const SpanSet set = tree_of(trace, arena);
  ASSERT_EQ(set.spans.size(), 2U);
  EXPECT_EQ(set.spans[0].name, "Agent");
  EXPECT_EQ(set.spans[1].parent_span_id, set.spans[0].span_id);
}

TEST(Tree, TheCallersParentIsTheRemoteParentOfTheTopmostSpanOnly) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.trace_name = "Checkout";
  trace.settings.parent_span_id = parse_span_id("00000000000000aa");
  const SpanSet set = tree_of(trace, arena);
  ASSERT_EQ(set.spans.size(), 2U);
  EXPECT_EQ(set.spans[0].parent_span_id, *parse_span_id("00000000000000AA"));
  EXPECT_EQ(set.spans[0].flags, kRemoteParent);
  EXPECT_EQ(set.spans[1].parent_span_id, set.spans[0].span_id);
  EXPECT_EQ(set.spans[1].flags, kLocalParent);
}

TEST(Tree, AParentThatIsNoSpanIdStaysAsMetadata) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.parent_span_id_text = "my parent";
  const SpanSet set = tree_of(trace, arena);
  EXPECT_TRUE(set.spans[0].parent_span_id.is_zero());
  EXPECT_EQ(text_of(set.spans[0], "trace.metadata.parent_span_id"), "my parent");
}

// Two requests of one trace: with shared roots they build the same root, else one each.
TEST(Tree, RootsAreSharedOnlyOnRequest) {
  Arena arena;
  Trace first = chat_trace(arena);
  Trace second = chat_trace(arena);
  for (Trace* trace : {&first, &second}) {
    trace->settings.trace_id_text = "app_trace_001";
    trace->settings.trace_name = "Checkout";
    trace->trace_id = hash_trace_id("app_trace_001");
  }
  second.identity.generation_id = "gen-2";
  const DialectOptions own;
  EXPECT_NE(tree_of(first, arena, own).spans[0].span_id,
            tree_of(second, arena, own).spans[0].span_id);
  DialectOptions shared;
  shared.shared_roots = true;
  EXPECT_EQ(tree_of(first, arena, shared).spans[0].span_id,
            tree_of(second, arena, shared).spans[0].span_id);
  EXPECT_NE(tree_of(first, arena, shared).spans[1].span_id,
            tree_of(second, arena, shared).spans[1].span_id);
}

TEST(Tree, RootAndGroupOfTheSameNameAreTwoSpans) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.trace_name = trace.settings.span_name = "Same";
  const SpanSet set = tree_of(trace, arena);
  EXPECT_NE(set.spans[0].span_id, set.spans[1].span_id);
}

TEST(Tree, AlwaysHashIgnoresThatTheTraceIdIsOneAlready) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.trace_id_text = "522cf1e8476223c9f6ae5d9d0f41c52e";
  trace.trace_id = *parse_trace_id(trace.settings.trace_id_text);
  EXPECT_EQ(tree_of(trace, arena).spans[0].trace_id, trace.trace_id);
  EXPECT_EQ(text_of(tree_of(trace, arena).spans[0], "trace.metadata.trace_id"), std::nullopt);
  DialectOptions options;
  options.always_hash_trace_id = true;
  const SpanSet set = tree_of(trace, arena, options);
  EXPECT_EQ(set.spans[0].trace_id, hash_trace_id(trace.settings.trace_id_text));
  EXPECT_EQ(text_of(set.spans[0], "trace.metadata.trace_id"), trace.settings.trace_id_text);
}

TEST(Tree, TheGenerationsIdDependsOnItsGenerationIdAlone) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.trace_id_text = "app_trace_001";
  trace.trace_id = hash_trace_id("app_trace_001");
  EXPECT_EQ(to_hex(trace.trace_id.view()), "522cf1e8476223c9f6ae5d9d0f41c52e");
  EXPECT_EQ(tree_of(trace, arena).spans[0].span_id, hash_span_id("gen-1"));
}

TEST(Tree, TheSameRecordMakesTheSameBytes) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.trace_name = "Checkout";
  trace.attempts.push_back({"Azure", "m", "", trace.start, trace.end, 503, "overloaded", ""});
  ByteBuffer first;
  ByteBuffer second;
  encode_otlp_protobuf(trace, tree_of(trace, arena), first);
  Arena other;
  encode_otlp_protobuf(trace, tree_of(trace, other), second);
  EXPECT_EQ(first.view(), second.view());
}

TEST(Tree, AnExplicitSpanStandsAloneUnderItsParent) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.is_explicit_span = true;
  trace.kind = TraceKind::kTool;
  trace.name = "search";
  trace.span_id = parse_span_id("00000000000000bb");
  trace.settings.trace_name = "Checkout";
  trace.settings.parent_span_id = hash_span_id("gen-1");
  const SpanSet set = tree_of(trace, arena);
  ASSERT_EQ(set.spans.size(), 1U);
  EXPECT_EQ(set.spans[0].name, "search");
  EXPECT_EQ(set.spans[0].span_id, *trace.span_id);
  EXPECT_EQ(set.spans[0].parent_span_id, hash_span_id("gen-1"));
  EXPECT_EQ(set.spans[0].flags, kLocalParent) << "its parent is a span of the same gateway";
}

TEST(Tree, ASpanNeverEndsBeforeItStarts) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.attempts.push_back(
      {"Azure", "m", "", trace.end, trace.start, 0, "", ""});  // the wrong way round
  trace.attempts.push_back({"Azure", "m", "", {}, {}, 0, "", ""});
  const SpanSet set = tree_of(trace, arena);
  EXPECT_EQ(set.spans[1].start, trace.end);
  EXPECT_EQ(set.spans[1].end, trace.end);
  EXPECT_EQ(set.spans[2].start, trace.start) << "no times of its own: the request's";
}

TEST(Tree, AFallbackThatSucceededIsNoError) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.attempts.push_back({"Azure", "m", "", trace.start, trace.end, 503, "overloaded", "busy"});
  const SpanSet set = tree_of(trace, arena);
  EXPECT_EQ(set.spans[0].status, StatusCode::kOk);
  EXPECT_EQ(text_of(set.spans[0], "error.type"), std::nullopt);
  EXPECT_EQ(set.spans[1].status, StatusCode::kError);
  EXPECT_EQ(set.spans[1].status_message, "busy");
  EXPECT_EQ(text_of(set.spans[1], "error.type"), "overloaded");
}

TEST(Tree, AClientThatWentAwayIsAnError) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.outcome.aborted = true;
  const SpanSet set = tree_of(trace, arena);
  EXPECT_EQ(set.spans[0].status, StatusCode::kError);
  EXPECT_EQ(text_of(set.spans[0], "error.type"), "client_disconnected");
}

TEST(Tree, TheResourceNamesAServiceWhateverTheOptions) {
  Arena arena;
  const Trace trace = chat_trace(arena);
  const auto service = [](const SpanSet& set) {
    return std::get<Text>(find_attribute(set.resource, "service.name")->value);
  };
  EXPECT_EQ(service(tree_of(trace, arena)), "sidecast");
  DialectOptions options;
  options.resource = {{"service.name", "my-gateway"}, {"model_id", "p"}};
  const SpanSet set = tree_of(trace, arena, options);
  EXPECT_EQ(service(set), "my-gateway");
  EXPECT_EQ(set.resource.size(), 2U);
}

TEST(Tree, OpenRoutersShapeHasOneGenerationAndItsAttempts) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.trace_name = "root";
  trace.settings.span_name = "group";
  trace.attempts.push_back({"A", "m", "/v1", trace.start, trace.end, 503, "overloaded", "busy"});
  DialectOptions options;
  options.tree = TreeShape::kOpenRouter;
  const SpanSet set = write_generic(trace, options, arena);
  ASSERT_EQ(set.spans.size(), 2U);
  EXPECT_TRUE(set.spans[0].parent_span_id.is_zero());
  EXPECT_EQ(set.spans[1].parent_span_id, set.spans[0].span_id);
  // The ids are those of the full tree: a destination's shape is nobody else's business.
  const SpanSet full = write_generic(trace, DialectOptions{}, arena);
  ASSERT_EQ(full.spans.size(), 4U);
  EXPECT_EQ(set.spans[0].span_id, full.spans[2].span_id);
  // The names that make no span here are told all the same.
  EXPECT_EQ(text_of(set.spans[0], "trace.metadata.span_name"), "group");
}

}  // namespace
}  // namespace sidecast
