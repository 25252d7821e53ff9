// sidecast convert: what it prints is what a destination would get.
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/tools/program.h"
#include "tests/unit/tools/scratch.h"
#include "tools/receiver/otlp_decode.h"

namespace sidecast {
namespace {

using nlohmann::json;

// Of the sample, as a command line, with the options appended.
Ended convert(std::vector<std::string> options) {
  options.insert(options.begin(), {"convert", SIDECAST_SAMPLE, "--end-ns", "1700000000000000000"});
  return run(std::move(options));
}

std::vector<json> lines_of(const std::string& text) {
  std::vector<json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(json::parse(line));
  return lines;
}

std::size_t exchanges_in_sample() {
  std::ifstream stream(SIDECAST_SAMPLE);
  std::size_t count = 0;
  for (std::string line; std::getline(stream, line);) ++count;
  return count;
}

TEST(Convert, BothOtlpEncodingsHoldTheSameSpans) {
  const Ended as_json = convert({"--encoding", "otlp_json", "--lines"});
  const Ended as_protobuf = convert({"--encoding", "otlp_protobuf", "--lines"});
  EXPECT_EQ(as_json.exit_code, 0);
  EXPECT_EQ(as_json.out, as_protobuf.out);
  const std::vector<json> spans = lines_of(as_json.out);
  EXPECT_GE(spans.size(), exchanges_in_sample());
  EXPECT_EQ(spans[0]["endTimeUnixNano"], 1'700'000'000'000'000'000);
}

TEST(Convert, OtlpJsonIsShownAsTheRequestThatLeaves) {
  const Ended ended = convert({"--encoding", "otlp_json", "--id", "sample-chat-json-000"});
  ASSERT_EQ(ended.exit_code, 0) << ended.out;
  const json request = json::parse(ended.out);
  EXPECT_EQ(request["resourceSpans"][0]["scopeSpans"][0]["spans"].size(), 1U);
}

TEST(Convert, RawIsOneRequestWithAllRecords) {
  for (const char* encoding : {"otlp_protobuf", "otlp_json"}) {
    const Ended ended = convert({"--encoding", encoding, "--raw"});
    ASSERT_EQ(ended.exit_code, 0);
    const auto request = receiver::decode_export_request(encoding == std::string("otlp_json")
                                                             ? receiver::Encoding::kJson
                                                             : receiver::Encoding::kProtobuf,
                                                         ended.out);
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(static_cast<std::size_t>(request->resource_spans_size()), exchanges_in_sample());
  }
}

TEST(Convert, OptionsOfTheDestinationAndIdentityShapeTheSpans) {
  const Ended ended =
      convert({"--limit", "1", "--lines", "--trace", R"({"trace_name":"root","feature":"x"})",
               "--user", "u-1", "--session", "s-1", "--attributes", R"({"note":"n"})", "--set",
               "tree=openrouter", "--set", "attribute_bytes_max=64"});
  ASSERT_EQ(ended.exit_code, 0) << ended.out;
  const std::vector<json> spans = lines_of(ended.out);
  ASSERT_EQ(spans.size(), 1U) << "one generation";
  const json& attributes = spans[0]["attributes"];
  EXPECT_EQ(attributes["user.id"], "u-1");
  EXPECT_EQ(attributes["session.id"], "s-1");
  EXPECT_EQ(attributes["trace.metadata.feature"], "x");
  EXPECT_EQ(attributes["note"], "n");
  EXPECT_NE(attributes["gen_ai.prompt"].get<std::string>().find("bytes cut]"), std::string::npos);
}

TEST(Convert, PrivacyLeavesNumbersAndNoContent) {
  const std::string open = convert({"--limit", "1"}).out;
  const std::string closed = convert({"--limit", "1", "--privacy"}).out;
  EXPECT_NE(open.find("harbours"), std::string::npos);
  EXPECT_EQ(closed.find("harbours"), std::string::npos);
  EXPECT_NE(closed.find("gen_ai.usage.input_tokens"), std::string::npos);
}

TEST(Convert, TakesADestinationFromTheConfig) {
  const Scratch scratch;
  const std::string config = scratch.file("sidecast.yaml");
  std::ofstream(config) << "destinations:\n"
                           "- {name: quiet, type: otlp, endpoint: 'http://localhost:1', dialect: "
                           "openinference, privacy_mode: true, service_name: shop}\n";
  const Ended ended =
      convert({"--config", config, "--destination", "quiet", "--limit", "1", "--lines"});
  ASSERT_EQ(ended.exit_code, 0) << ended.out;
  const json span = lines_of(ended.out).at(0);
  EXPECT_EQ(span["resource"]["service.name"], "shop");
  EXPECT_EQ(span["attributes"]["openinference.span.kind"], "LLM");
  EXPECT_FALSE(span["attributes"].contains("input.value"));
  EXPECT_EQ(convert({"--config", config, "--destination", "other"}).exit_code, 2);
}

TEST(Convert, WrongWordsAreUsageErrorsThatSayWhatWasMeant) {
  const Ended dialect = convert({"--dialect", "opneinference"});
  EXPECT_EQ(dialect.exit_code, 2);
  EXPECT_NE(dialect.out.find("did you mean 'openinference'?"), std::string::npos) << dialect.out;
  EXPECT_EQ(convert({"--encoding", "xml"}).exit_code, 2);
  EXPECT_EQ(convert({"--type", "nothing"}).exit_code, 2);
  EXPECT_NE(convert({"--set", "treee=full"}).out.find("did you mean 'tree'?"), std::string::npos);
  EXPECT_EQ(convert({"--set", "tree"}).exit_code, 2);
  EXPECT_EQ(convert({"--config", SIDECAST_SAMPLE}).exit_code, 2) << "needs --destination";
  EXPECT_EQ(convert({"--id", "nobody"}).exit_code, 1);
}

}  // namespace
}  // namespace sidecast
