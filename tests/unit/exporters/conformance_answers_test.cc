// Answers to each destination type: what they mean, and that nothing of theirs or ours leaks.
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/exporters/conformance.h"

namespace sidecast::conformance {
namespace {

TEST_P(Conformance, StatusesMeanWhatTheTableSays) {
  using Kind = Verdict::Kind;
  const std::string body = body_of_success(type());
  for (const int status : {200, 204}) EXPECT_EQ(verdict_for(status, body).kind, Kind::kDelivered);
  // Where it means that a statement still runs, and says not which, it is asked again.
  const Verdict accepted = verdict_for(202, body);
  EXPECT_TRUE(accepted.kind == Kind::kDelivered || accepted.kind == Kind::kRetry);
  for (const int status : {429, 502, 503, 504}) {
    EXPECT_EQ(verdict_for(status).kind, Kind::kRetry) << status;
    EXPECT_EQ(verdict_for(status).retry_hint, std::nullopt);
    EXPECT_EQ(verdict_for(status, "", {{"retry-after", "7"}}).retry_hint, Milliseconds(7000));
    EXPECT_EQ(
        verdict_for(status, "", {{"retry-after", "Tue, 14 Nov 2023 22:14:20 GMT"}}).retry_hint,
        Milliseconds(60'000));
  }
  for (const int status : {401, 403, 404}) {
    EXPECT_EQ(verdict_for(status).kind, Kind::kPause) << status;
    EXPECT_FALSE(verdict_for(status).explanation.empty());
  }
  for (const int status : {400, 405, 415, 422, 505}) {
    EXPECT_EQ(verdict_for(status).kind, Kind::kRejected) << status;
    EXPECT_EQ(verdict_for(status).reason, RejectReason::kRejected);
    EXPECT_TRUE(contains(verdict_for(status).explanation, std::to_string(status)));
  }
  EXPECT_EQ(verdict_for(413).kind, Kind::kSplit);
}

TEST_P(Conformance, NoAnswerIsRetriedAndARefusedAddressPauses) {
  using Failure = Response::Failure;
  for (const Failure failure : {Failure::kResolve, Failure::kConnect, Failure::kTls,
                                Failure::kTimeout, Failure::kReset, Failure::kOther}) {
    Response response;
    response.failure = failure;
    response.failure_text = "some words";
    response.status = 200;  // of an answer that broke off
    const Verdict verdict = exporter_->judge(authorised(), response, kNow);
    EXPECT_EQ(verdict.kind, Verdict::Kind::kRetry);
    EXPECT_TRUE(contains(verdict.explanation, "some words"));
  }
  Response refused;
  refused.failure = Failure::kRefusedAddress;
  EXPECT_EQ(exporter_->judge(authorised(), refused, kNow).kind, Verdict::Kind::kPause);
}

TEST_P(Conformance, HostileAnswersNeverBringSecretsOrControlCharacters) {
  const Request request = authorised();
  const std::string sent = dump(request);
  std::string echo = "\x1b[31mtulip wrong key ";
  for (const Option& option : type().options) {
    // What was not sent (a signing key), no server can quote.
    const bool is_sent = option.secret && contains(sent, secret_text(option.name));
    if (is_sent) echo += secret_text(option.name) + "\r\n\t";
  }
  echo += sent;
  const std::string json_echo = [&] {
    std::string text = R"({"error":{"code":"tulip","message":"tulip )";
    for (const Header& header : request.headers) text += header.value + R"(\u001b \n )";
    return text + R"("}})";
  }();
  const std::string xml_echo =
      "<Error><Code>SignatureDoesNotMatch</Code><Region>tulip-1</Region><Message>" + echo +
      "</Message></Error>";
  for (const int status : {200, 301, 400, 401, 403, 404, 413, 429, 500, 503}) {
    for (const std::string& body : {echo, json_echo, xml_echo, "<html><title>" + echo}) {
      for (const char* content_type : {"", "application/json", "application/x-protobuf",
                                       "text/html", "text/plain; charset=latin1"}) {
        SCOPED_TRACE(status);
        const Verdict verdict = verdict_for(status, body, {{"content-type", content_type}});
        expect_clean(verdict);
        EXPECT_FALSE(contains(verdict.explanation, "tulip")) << "a server's words are not logged";
      }
    }
  }
}

TEST_P(Conformance, HostileRandomAnswersAlwaysGetAVerdict) {
  std::mt19937 random(20260101);
  for (int round = 0; round < 500; ++round) {
    std::string body(random() % 300, '\0');
    for (char& c : body) c = static_cast<char>(random());
    const int status = static_cast<int>(random() % 1000);
    const char* const type =
        random() % 2 == 0 ? "application/x-protobuf" : "application/json; charset=utf-8";
    expect_clean(verdict_for(status, body, {{"content-type", type}, {"retry-after", body}}));
  }
}

TEST_P(Conformance, WebPageIsNoReceiver) {
  const std::string page = "\n <!DOCTYPE html><html><head><title>Sign in</title></head></html>";
  const Verdict verdict = verdict_for(200, page, {{"content-type", "text/html; charset=utf-8"}});
  EXPECT_EQ(verdict.kind, Verdict::Kind::kPause);
  EXPECT_TRUE(contains(verdict.explanation, "a web page answered"));
  EXPECT_TRUE(contains(verdict.server_text, "Sign in"));
}

}  // namespace
}  // namespace sidecast::conformance
