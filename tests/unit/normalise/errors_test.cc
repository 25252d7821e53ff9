// Errors in the shapes of the providers, and what the gateway knows better.
#include <gtest/gtest.h>

#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

class Errors : public testing::Test, public RecordFixture {
 protected:
  Trace answered(std::int32_t status, Text body) {
    record.http_status = status;
    return normalise("", body);
  }
  static std::string show(const Trace& trace) {
    return std::string(trace.outcome.failed ? "failed " : "ok ") +
           std::string(trace.outcome.error_type) + ": " + std::string(trace.outcome.error_message);
  }
};

TEST_F(Errors, EveryProvidersShapeGivesTypeAndMessage) {
  EXPECT_EQ(show(answered(
                400, R"({"error":{"message":"bad","type":"invalid_request_error","code":"x"}})")),
            "failed invalid_request_error: bad");
  EXPECT_EQ(
      show(answered(
          429,
          R"({"error":{"message":"slow","code":429,"metadata":{"error_type":"rate_limit_exceeded"}}})")),
      "failed rate_limit_exceeded: slow");
  EXPECT_EQ(show(answered(
                529, R"({"type":"error","error":{"type":"overloaded_error","message":"busy"}})")),
            "failed overloaded_error: busy");
  EXPECT_EQ(
      show(answered(400, R"({"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}})")),
      "failed INVALID_ARGUMENT: no");
  EXPECT_EQ(
      show(answered(404, R"([{"error":{"code":404,"message":"gone","status":"NOT_FOUND"}}])")),
      "failed NOT_FOUND: gone");
  EXPECT_EQ(show(answered(
                400, R"({"__type":"com.amazon#ValidationException:http://x","message":"wrong"})")),
            "failed ValidationException: wrong");
  EXPECT_EQ(show(answered(400, R"({"message":"invalid api token"})")),
            "failed 400: invalid api token");
  EXPECT_EQ(show(answered(422, R"({"detail":[{"loc":["body"]}]})")),
            "failed 422: [{\"loc\":[\"body\"]}]");
  EXPECT_EQ(show(answered(404, R"({"error":"model not found"})")), "failed 404: model not found");
  EXPECT_EQ(show(answered(502, "<html>Bad Gateway</html>")), "failed 502: ");
  EXPECT_EQ(show(answered(500, "")), "failed 500: ");
}

TEST_F(Errors, TypesThatAreSentencesAreNotTaken) {
  EXPECT_EQ(show(answered(400, R"({"error":{"message":"m","type":"You did it wrong, sorry"}})")),
            "failed 400: m");
}

TEST_F(Errors, ASuccessfulAnswerMaySpeakOfErrors) {
  EXPECT_EQ(
      show(answered(
          200,
          R"({"object":"response","status":"completed","error":null,"message":"x","output":[]})")),
      "ok : ");
}

TEST_F(Errors, AnErrorObjectFailsWhateverTheStatus) {
  EXPECT_EQ(show(answered(200, R"({"error":{"message":"late","code":502}})")), "failed 502: late");
}

TEST_F(Errors, TheGatewaysWordComesFirst) {
  record.error_type = "timeout";
  record.error_message = "after 30 s";
  EXPECT_EQ(show(answered(0, "")), "failed timeout: after 30 s");
  EXPECT_EQ(show(answered(400, R"({"error":{"message":"m","type":"t"}})")),
            "failed timeout: after 30 s");
}

TEST_F(Errors, UsageCostModelAndProviderOfTheGatewayWin) {
  record.usage_present = 1U << 0U | 1U << 6U;  // input tokens and total cost
  record.usage_input_tokens = 111;
  record.cost_total_usd = 0.5;
  record.provider = "azure";
  record.model_served = "served";
  record.model_requested = "asked";
  const Trace trace = normalise(
      R"({"model":"other","messages":[]})",
      R"({"object":"chat.completion","provider":"x","model":"y","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"cost":9}})");
  EXPECT_EQ(trace.usage.input, 111);
  EXPECT_EQ(trace.usage.output, 2);
  EXPECT_EQ(trace.cost.total, 0.5);
  EXPECT_EQ(trace.provider, "azure");
  EXPECT_EQ(trace.model_served, "served");
  EXPECT_EQ(trace.model_requested, "asked");
}

TEST_F(Errors, AttemptsKeepTheirOrderAndTheirErrors) {
  record.start_ns = 1000;
  record.end_ns = 9000;
  record.attempts.push_back(
      {"p1", "m1", "/a", 1000, 2000, 503, "provider_overloaded", "busy \xFF"});
  record.attempts.push_back({"p2", "m2", "/b", 3000, 2500, 200, "", ""});
  const Trace trace = answered(200, R"({"object":"chat.completion","choices":[]})");
  ASSERT_EQ(trace.attempts.size(), 2U);
  EXPECT_EQ(trace.attempts[0].error_message, "busy \uFFFD");
  EXPECT_EQ(trace.attempts[0].http_status, 503);
  EXPECT_EQ(unix_ns(trace.attempts[1].end), 3000);  // never before its start
  EXPECT_FALSE(trace.outcome.failed);
}

TEST_F(Errors, ARoutersEarlierErrorsAreAttempts) {
  const Text body =
      R"({"error":{"message":"no","code":502,"metadata":{"provider_name":"Azure","previous_errors":[{"code":503,"message":"busy"},{"code":"slow down","provider_name":"Groq"}]}}})";
  const Trace trace = answered(502, body);
  EXPECT_EQ(trace.provider, "Azure");
  ASSERT_EQ(trace.attempts.size(), 2U);
  EXPECT_EQ(trace.attempts[0].http_status, 503);
  EXPECT_EQ(trace.attempts[0].error_type, "503");
  EXPECT_EQ(trace.attempts[0].error_message, "busy");
  EXPECT_EQ(trace.attempts[1].error_type, "_OTHER");
  EXPECT_EQ(trace.attempts[1].provider, "Groq");
  // What the gateway itself says of its attempts counts.
  record.attempts.emplace_back().provider = "OpenAI";
  EXPECT_EQ(answered(502, body).attempts.size(), 1U);
}

}  // namespace
}  // namespace sidecast
