#include "tools/receiver/intake.h"

#include <gtest/gtest.h>

#include "tests/unit/tools/codecs.h"

namespace sidecast::receiver {
namespace {

constexpr std::size_t kRoom = 1U << 20U;
constexpr Timestamp kNow{std::chrono::seconds(784'111'777)};  // Sun, 06 Nov 1994 08:49:37 GMT

std::string request_of(int span_count) {
  otlp::ExportTraceServiceRequest request;
  auto& spans = *request.add_resource_spans()->add_scope_spans();
  for (int i = 0; i < span_count; ++i) {
    auto& span = *spans.add_spans();
    span.set_trace_id("0123456789abcdef");
    span.set_span_id("span000" + std::to_string(i));
  }
  return request.SerializeAsString();
}

HttpRequest post(std::string body, std::string type = "application/x-protobuf",
                 std::string encoding = "") {
  HttpRequest request{.method = "POST",
                      .target = "/any/path",
                      .headers = {{"content-type", std::move(type)}},
                      .body = std::move(body)};
  if (!encoding.empty()) request.headers.emplace_back("content-encoding", std::move(encoding));
  return request;
}

std::string header(const HttpAnswer& answer, std::string_view name) {
  for (const auto& [key, value] : answer.headers) {
    if (key == name) return value;
  }
  return "(none)";
}

class IntakeTest : public testing::Test {
 protected:
  // Answers one request under these faults.
  Reply receive(std::string_view misbehaviour, HttpRequest request) {
    std::vector<Rule> rules;
    if (!misbehaviour.empty()) rules = parse_misbehaviour(misbehaviour).value();
    Intake intake(kRoom, std::move(rules), 1, nullptr);
    Reply reply = intake.receive(std::move(request), kNow);
    counts_ = intake.counts();
    return reply;
  }
  IntakeCounts counts_;
};

TEST_F(IntakeTest, AnswersInTheEncodingOfTheRequest) {
  Reply reply = receive("", post(request_of(2)));
  EXPECT_EQ(reply.answer.status, 200);
  EXPECT_EQ(header(reply.answer, "Content-Type"), "application/x-protobuf");
  EXPECT_EQ(reply.answer.body, "");
  EXPECT_EQ(counts_.spans, 2U);
  EXPECT_EQ(counts_.refused, 0U);
  reply = receive("", post("{}", "Application/JSON; charset=utf-8"));
  EXPECT_EQ(reply.answer.status, 200);
  EXPECT_EQ(header(reply.answer, "Content-Type"), "application/json");
  EXPECT_EQ(reply.answer.body, "{}");
}

TEST_F(IntakeTest, CompressedBodiesCountBothSizes) {
  const std::string body = request_of(9);
  const std::string packed = gzip_for_test(body);
  EXPECT_EQ(receive("", post(packed, "application/x-protobuf", "GZIP")).answer.status, 200);
  EXPECT_EQ(counts_.spans, 9U);
  EXPECT_EQ(counts_.bytes_received, packed.size());
  EXPECT_EQ(counts_.bytes_decoded, body.size());
}

TEST_F(IntakeTest, RefusesWhatIsNotOtlp) {
  HttpRequest get = post("");
  get.method = "GET";
  Reply reply = receive("", std::move(get));
  EXPECT_EQ(reply.answer.status, 405);
  EXPECT_EQ(header(reply.answer, "Allow"), "POST");
  EXPECT_EQ(receive("", post("{}", "text/plain")).answer.status, 415);
  EXPECT_EQ(receive("", post("{}", "application/json", "br")).answer.status, 415);
  EXPECT_EQ(receive("", post("nonsense", "application/json")).answer.status, 400);
  EXPECT_EQ(
      receive("", post(gzip_for_test(std::string(2 * kRoom, ' ')), "application/json", "gzip"))
          .answer.status,
      413);
  EXPECT_EQ(counts_.refused, 1U);
  EXPECT_EQ(counts_.requests, 1U);
  EXPECT_EQ(counts_.spans, 0U);
}

TEST_F(IntakeTest, ErrorBodiesAreRpcStatusInTheSameEncoding) {
  EXPECT_EQ(receive("", post("[]", "application/json")).answer.body,
            R"({"code":3,"message":"must be an object"})");
  const Reply reply = receive("status=503", post(request_of(1)));
  // code = 1: 14 (UNAVAILABLE); message = 2, of 22 bytes
  EXPECT_EQ(reply.answer.body, "\x08\x0e\x12\x16misbehaving on request");
}

TEST_F(IntakeTest, AStatusOnRequestStoresNothing) {
  const Reply reply = receive("status=429:retry-after=7", post(request_of(2)));
  EXPECT_EQ(reply.answer.status, 429);
  EXPECT_EQ(header(reply.answer, "Retry-After"), "7");
  EXPECT_EQ(counts_.spans, 0U);
  EXPECT_EQ(counts_.misbehaved, 1U);
  EXPECT_EQ(counts_.refused, 0U);
}

TEST_F(IntakeTest, RetryAfterMayBeADate) {
  const Reply reply = receive("status=503:retry-after-date=60", post(request_of(1)));
  EXPECT_EQ(header(reply.answer, "Retry-After"), "Sun, 06 Nov 1994 08:50:37 GMT");
}

TEST_F(IntakeTest, AnotherSuccessStoresAndSendsAnUnrelatedBody) {
  const Reply reply = receive("status=202", post(request_of(2)));
  EXPECT_EQ(reply.answer.status, 202);
  EXPECT_EQ(reply.answer.body, "ok\n");
  EXPECT_EQ(counts_.spans, 2U);
}

TEST_F(IntakeTest, PartialSuccessLeavesTheLastSpansOut) {
  Reply reply = receive("partial=2", post(request_of(5)));
  EXPECT_EQ(reply.answer.status, 200);
  otlp::ExportTraceServiceResponse response;
  ASSERT_TRUE(response.ParseFromString(reply.answer.body));
  EXPECT_EQ(response.partial_success().rejected_spans(), 2);
  EXPECT_EQ(counts_.spans, 3U);
  reply = receive("partial=9", post("{}", "application/json"));
  EXPECT_EQ(reply.answer.body,
            R"({"partialSuccess":{"rejectedSpans":"0","errorMessage":"rejected on request"}})");
}

TEST_F(IntakeTest, ResetsStoreNothingAndLostAnswersStoreAll) {
  EXPECT_TRUE(receive("reset", post(request_of(2))).reset);
  EXPECT_EQ(counts_.spans, 0U);
  EXPECT_TRUE(receive("lose-answer", post(request_of(2))).reset);
  EXPECT_EQ(counts_.spans, 2U);
  const Reply reply = receive("delay=30ms", post(request_of(2)));
  EXPECT_EQ(reply.delay.count(), 30);
  EXPECT_EQ(reply.answer.status, 200);
}

TEST_F(IntakeTest, AFullDiskIsA503) {
  auto full = SpanFile::open("/dev/full");
  ASSERT_TRUE(full);
  Intake intake(kRoom, {}, 1, full->get());
  EXPECT_EQ(intake.receive(post(request_of(1)), kNow).answer.status, 503);
  EXPECT_EQ(intake.counts().spans, 0U);
}

}  // namespace
}  // namespace sidecast::receiver
