#include "tools/replay/exchanges.h"

#include <cstdlib>
#include <filesystem>
#include <iostream>

#include <gtest/gtest.h>

#include "tests/unit/tools/scratch.h"

namespace sidecast::replay {
namespace {

constexpr const char* kJsonExchange =
    R"({"id":"a-000","source":"x","provider":"openai","operation":"chat","model":"gpt-4o","url_path":"/v1/chat/completions",)"
    R"("status":200,"streaming":false,"request":{"model" : "gpt-4o", "text":"\u00e9\n {}"},"response":{"id":1.50},)"
    R"("response_sse":null,"tokens":{"input":1,"output":34},"duration_ms":877.5,"session":"a","seq":0})";
constexpr const char* kStreamExchange =
    R"({"id":"b","provider":"mistral","operation":"chat","streaming":true,"status":200,"request":null,"response":null,)"
    R"("response_sse":"data: {\"t\":\"\\n\"}\n\ndata: [DONE]\r\n\n"})";

TEST(Exchanges, BodiesKeepTheirBytes) {
  const Scratch scratch;
  const auto loaded =
      Exchanges::load({scratch.put("one.jsonl", std::string(kJsonExchange) + "\n")});
  ASSERT_TRUE(loaded) << loaded.error().message();
  ASSERT_EQ(loaded->size(), 1U);
  const Exchange& exchange = (*loaded)[0];
  EXPECT_EQ(exchange.id, "a-000");
  EXPECT_EQ(exchange.session, "a");
  EXPECT_EQ(exchange.provider, "openai");
  EXPECT_EQ(exchange.operation, "chat");
  EXPECT_EQ(exchange.model, "gpt-4o");
  EXPECT_EQ(exchange.url_path, "/v1/chat/completions");
  EXPECT_EQ(exchange.request, R"({"model" : "gpt-4o", "text":"\u00e9\n {}"})");
  EXPECT_EQ(exchange.response, R"({"id":1.50})");
  EXPECT_EQ(exchange.http_status, 200);
  EXPECT_FALSE(exchange.is_stream);
  EXPECT_EQ(exchange.duration_ms, 877.5);
  EXPECT_EQ(exchange.output_tokens, 34);
}

TEST(Exchanges, StreamsAreUnescapedAndTheRequestMayBeNull) {
  const Scratch scratch;
  const auto loaded = Exchanges::load({scratch.put("one.jsonl", kStreamExchange)});
  ASSERT_TRUE(loaded) << loaded.error().message();
  const Exchange& exchange = (*loaded)[0];
  EXPECT_EQ(exchange.request, "");
  EXPECT_EQ(exchange.response, "data: {\"t\":\"\\n\"}\n\ndata: [DONE]\r\n\n");
  EXPECT_TRUE(exchange.is_stream);
  EXPECT_EQ(exchange.duration_ms, 0);
  EXPECT_EQ(exchange.session, "");
}

TEST(Exchanges, FilesFollowEachOtherUpToTheLimit) {
  const Scratch scratch;
  const std::string both = std::string(kJsonExchange) + "\n\n" + kStreamExchange + "\n";
  const std::vector<std::string> files = {scratch.put("plain.jsonl", both),
                                          scratch.put_gzip("packed.jsonl.gz", both)};
  EXPECT_EQ(Exchanges::load(files)->size(), 4U);
  const auto three = Exchanges::load(files, 3);
  ASSERT_EQ(three->size(), 3U);
  EXPECT_EQ((*three)[2].id, "a-000");
}

TEST(Exchanges, LinesLongerThanAnyBufferAreWhole) {
  const Scratch scratch;
  const std::string text(3U << 20U, 'x');
  const auto loaded = Exchanges::load(
      {scratch.put_gzip("long.gz", R"({"id":"l","request":{"t":")" + text + R"("}})")});
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ((*loaded)[0].request, R"({"t":")" + text + R"("})");
}

TEST(Exchanges, HostileLinesAreErrorsWithFileAndLine) {
  const Scratch scratch;
  for (const char* line :
       {"nonsense", "{\"id\":", "[]", "{}", R"({"id":7})", R"({"id":"x","status":"high"})"}) {
    const std::string file =
        scratch.put("bad.jsonl", std::string(kJsonExchange) + "\n" + line + "\n");
    const auto loaded = Exchanges::load({file});
    ASSERT_FALSE(loaded) << line;
    EXPECT_EQ(loaded.error().message().substr(0, file.size() + 3), file + ":2:")
        << loaded.error().message();
  }
  const std::string packed = scratch.put_gzip("cut.gz", kJsonExchange);
  std::filesystem::resize_file(packed, std::filesystem::file_size(packed) - 4);
  EXPECT_FALSE(Exchanges::load({packed}));
  EXPECT_FALSE(Exchanges::load({scratch.file("missing")}));
}

TEST(Exchanges, EveryRecordedExchangeOfTheSampleIsRead) {
  const char* const from_environment = std::getenv("SIDECAST_DATA");
  const std::filesystem::path data =
      from_environment != nullptr
          ? std::filesystem::path(from_environment)
          : std::filesystem::path(SIDECAST_SOURCE_DIR) / ".." / "shared" / "data";
  const auto file = data / "exchanges.sample.jsonl";
  if (!std::filesystem::exists(file)) {
    std::cout << "NO DATA SET: " << file << " is missing; set SIDECAST_DATA\n";
    GTEST_SKIP() << "no data set at " << data;
  }
  const auto loaded = Exchanges::load({file});
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(loaded->size(), 189U);
  for (std::size_t i = 0; i < loaded->size(); ++i) {
    EXPECT_EQ((*loaded)[i].request.substr(0, 1), "{") << (*loaded)[i].id;
    EXPECT_GE((*loaded)[i].http_status, 200) << (*loaded)[i].id;
  }
}

}  // namespace
}  // namespace sidecast::replay
