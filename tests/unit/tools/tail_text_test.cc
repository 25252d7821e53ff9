#include "tools/sidecast/tail_text.h"

#include <gtest/gtest.h>

#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

constexpr std::string_view kPacket =
    R"({"missed":3,"account":"acme","process":"gateway","pid":7,"lane":0,"sequence":1,)"
    R"("kind":"generation","http_status":200,"failed":false,"aborted":false,"shed":false,)"
    R"("content":"redacted","content_bytes":40,)"
    R"("destinations":[{"name":"arize","fate":"routed"},{"name":"s3","fate":"sampled out"}],)"
    R"("record":{"id":"gen-1","apiKeyName":"team-a","observations":[{"id":"gen-1",)"
    R"("type":"GENERATION","model":"gpt-4o","providerName":"OpenAI",)"
    R"("startTime":"2026-11-21T14:03:11.123Z","endTime":"2026-11-21T14:03:12.623Z",)"
    R"("completionStartTime":"2026-11-21T14:03:11.623Z","promptTokens":26,"completionTokens":24,)"
    R"("totalCost":0.0012,"finishReason":"stop"}]}})";

TEST(TailText, ALineSaysWhatARecordWas) {
  EXPECT_EQ(tail_lines(kPacket, Style(false)),
            "14:03:11.123  ok  200  gpt-4o  OpenAI  1.5 s  first after 500 ms  26>24 tokens  "
            "$0.0012  stop  acme/team-a  gen-1  -> arize, s3 (sampled out)\n");
  EXPECT_EQ(tail_missed(kPacket), 3U);
}

TEST(TailText, AFailureIsNamed) {
  const std::string lines =
      tail_lines(R"({"failed":true,"http_status":429,"destinations":[],"record":{"observations":[)"
                 R"({"id":"g","model":"m","errorType":"rate_limit_exceeded"}]}})",
                 Style(false));
  EXPECT_NE(lines.find("rate_limit_exceeded  429  m"), std::string::npos) << lines;
  EXPECT_NE(lines.find("no destination"), std::string::npos);
}

TEST(TailText, WhatAnErrorSaidIsContent) {
  const std::string packet =
      R"("failed":true,"record":{"observations":[{"statusMessage":"no ox"}]}})";
  const std::string shown = tail_lines(R"({"content":"shown",)" + packet, Style(false));
  EXPECT_NE(shown.find("    error: no ox\n"), std::string::npos) << shown;
  const std::string redacted = tail_lines(R"({"content":"redacted",)" + packet, Style(false));
  EXPECT_EQ(redacted.find("no ox"), std::string::npos) << redacted;
}

TEST(TailText, ContentFollowsWhereItIsShown) {
  const std::string lines = tail_lines(
      R"({"content":"shown","record":{"input":{"a":1},"output":"hello"}})", Style(false));
  EXPECT_NE(lines.find("input   {\"a\":1}\n"), std::string::npos) << lines;
  EXPECT_NE(lines.find("output  hello\n"), std::string::npos) << lines;
}

TEST(TailText, HostileTextsCannotReachTheTerminal) {
  const std::string lines = tail_lines(
      R"({"content":"shown","account":"a\u001b[2J","destinations":[{"name":"d\u0007","fate":"routed"}],)"
      R"("record":{"input":"x\u001b]0;y\u0007","observations":[{"model":"m\nn"}]}})",
      Style(false));
  EXPECT_EQ(lines.find('\x1b'), std::string::npos);
  EXPECT_EQ(lines.find('\x07'), std::string::npos);
}

TEST(TailText, HostilePacketsAreNotBelieved) {
  for (const std::string_view packet :
       {"", "{", "[]", "null", R"({"destinations":7,"record":[],"http_status":"x"})",
        R"({"record":{"observations":[7]},"destinations":[1,[]]})",
        R"({"record":{"observations":[{"startTime":"x","endTime":7}]}})"}) {
    EXPECT_FALSE(tail_lines(packet, Style(false)).empty()) << packet;
    EXPECT_EQ(tail_missed(packet), 0U);
  }
}

}  // namespace
}  // namespace sidecast
