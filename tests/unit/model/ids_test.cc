#include "engine/model/ids.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace sidecast {
namespace {

constexpr Text kHex = "522cf1e8476223c9f6ae5d9d0f41c52e";

TEST(Ids, TheTraceIdOfATextIsTheOneOpenRouterMakes) {
  EXPECT_EQ(to_hex(hash_trace_id("app_trace_001").view()), kHex);
  EXPECT_EQ(to_hex(hash_span_id("app_trace_001").view()), kHex.substr(0, 16));
}

TEST(Ids, HexAndUuidAreTheirBytesInEitherCase) {
  for (const Text text : {kHex, Text("522CF1E8476223C9F6AE5D9D0F41C52E"),
                          Text("522cf1e8-4762-23c9-f6ae-5d9d0f41c52e"),
                          Text("522CF1E8-4762-23C9-F6AE-5D9D0F41C52E")}) {
    const auto id = parse_trace_id(text);
    ASSERT_TRUE(id.has_value()) << text;
    EXPECT_EQ(to_hex(id->view()), kHex);
  }
  EXPECT_EQ(to_hex(parse_span_id("00000000000000AA")->view()), "00000000000000aa");
}

TEST(Ids, HostileTextsAreNoIds) {
  for (const Text text :
       {Text(""), Text("app_trace_001"), Text("522cf1e8476223c9f6ae5d9d0f41c52"),
        Text("522cf1e8476223c9f6ae5d9d0f41c52g"), Text("522cf1e8476223c9f6ae5d9d0f41c52e "),
        Text("522cf1e84-762-23c9-f6ae-5d9d0f41c52e"), Text("522cf1e8-4762-23c9-f6ae-5d9d0f41c52-"),
        Text("00000000000000000000000000000000"), Text("00000000-0000-0000-0000-000000000000")}) {
    EXPECT_FALSE(parse_trace_id(text).has_value()) << text;
  }
  for (const Text text : {Text("0000000000000000"), Text("123"), Text("000000000000000x")}) {
    EXPECT_FALSE(parse_span_id(text).has_value()) << text;
  }
}

RC_GTEST_PROP(Ids, HexComesBackAsTheSameId, (const std::string& text)) {
  const TraceId trace_id = hash_trace_id(text);
  RC_ASSERT(!trace_id.is_zero());
  RC_ASSERT(parse_trace_id(to_hex(trace_id.view())) == trace_id);
  const SpanId span_id = hash_span_id(text);
  RC_ASSERT(parse_span_id(to_hex(span_id.view())) == span_id);
}

}  // namespace
}  // namespace sidecast
