// Firehose: the shape of PutRecordBatch, and a fate for each record.
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/base/base64.h"
#include "tests/unit/exporters/destinations/native_fixture.h"

namespace sidecast {
namespace {

using Kind = Verdict::Kind;
using nlohmann::json;

std::unique_ptr<const Exporter> firehose(const OptionChanges& changes = {}) {
  OptionChanges all = {{"stream", "traces"}};
  all.insert(all.end(), changes.begin(), changes.end());
  auto made = make_destination("firehose", all);
  EXPECT_TRUE(made) << made.error().message();
  return std::move(*made);
}

Request request_of(const Exporter& exporter, std::vector<std::string> records) {
  auto requests = exporter.encode(frozen_batch(exporter.format(), std::move(records)));
  EXPECT_TRUE(requests);
  return std::move(requests->at(0));
}

TEST(FirehoseRequest, IsPutRecordBatchWithTheRecordsInBase64) {
  const auto exporter = firehose({{"region", "eu-west-1"}});
  const Request request = request_of(*exporter, {R"({"Data":"e30K"})", R"({"Data":"e30K"})"});
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.url, "https://firehose.eu-west-1.amazonaws.com/");
  EXPECT_EQ(header_of(request, "x-amz-target"), "Firehose_20150804.PutRecordBatch");
  EXPECT_EQ(header_of(request, "content-type"), "application/x-amz-json-1.1");
  EXPECT_EQ(body_of(request),
            R"({"DeliveryStreamName":"traces","Records":[{"Data":"e30K"},{"Data":"e30K"}]})");
  EXPECT_EQ(header_of(request, "x-amz-content-sha256"), to_hex(as_bytes(sha256(body_of(request)))));
  EXPECT_EQ(request.record_count, 2U);
  EXPECT_EQ(exporter->format().limits.batch_records_max, 500U);
  EXPECT_EQ(exporter->format().limits.batch_bytes_max, (4U << 20U) - (16U << 10U));
}

TEST(FirehoseRecord, IsTheObjectOfS3AndALineBreakInBase64) {
  Arena arena;
  Trace trace(arena);
  trace.identity.generation_id = "g";
  trace.start = trace.end = timestamp_from_ns(kStartNs);
  const std::string record = encoded_record(*firehose(), trace);
  ByteBuffer line;
  find_encoder("trace_json")->write(trace, SpanSet(arena), line);
  line.push_back('\n');
  // Decoded by hand: groups of four letters, six bits each.
  const std::string data = json::parse(record).at("Data");
  const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string decoded;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : data) {
    if (c == '=') break;
    bits = bits << 6U | static_cast<std::uint32_t>(letters.find(c));
    count += 6;
    if (count < 8) continue;
    count -= 8;
    decoded += static_cast<char>(bits >> static_cast<unsigned>(count) & 0xFFU);
  }
  EXPECT_EQ(decoded, line.view());
}

TEST(FirehoseRecord, EveryLengthIsPaddedAsItShould) {
  for (const Text id :
       {Text("g"), Text("gg"), Text("ggg"), Text("\xc3\xbf\xe2\x82\xac"), Text("?~>?>~?>")}) {
    Arena arena;
    Trace trace(arena);
    trace.identity.generation_id = id;
    trace.start = trace.end = timestamp_from_ns(kStartNs);
    ByteBuffer line;
    find_encoder("trace_json")->write(trace, SpanSet(arena), line);
    line.push_back('\n');
    EXPECT_EQ(json::parse(encoded_record(*firehose(), trace)).at("Data"), to_base64(line.view()));
  }
}

Verdict judge(int status, const std::string& body, std::size_t records = 3) {
  const auto exporter = firehose();
  return exporter->judge(request_of(*exporter, std::vector<std::string>(records, R"({"Data":""})")),
                         answer_of(status, body, {{"content-type", "application/x-amz-json-1.1"}}),
                         kTestNow);
}

TEST(FirehoseAnswer, NamesEachRecordsFate) {
  const Verdict verdict =
      judge(200, R"({"FailedPutCount":1,"Encrypted":false,"RequestResponses":[{"RecordId":"a"},)"
                 R"({"ErrorCode":"ServiceUnavailableException","ErrorMessage":"Slow down."},)"
                 R"({"RecordId":"c"}]})");
  EXPECT_EQ(verdict.kind, Kind::kPartial);
  EXPECT_EQ(verdict.items,
            (std::vector<ItemFate>{ItemFate::kDelivered, ItemFate::kRetry, ItemFate::kDelivered}));
  EXPECT_EQ(verdict.explanation,
            "HTTP 200 (ServiceUnavailableException); records to be sent again: 1");
}

TEST(FirehoseAnswer, WithoutFailuresIsDelivered) {
  EXPECT_EQ(judge(200, R"({"FailedPutCount":0,"RequestResponses":[{"RecordId":"a"}]})").kind,
            Kind::kDelivered);
}

TEST(FirehoseAnswer, A200OfSomebodyElseDeliversNothing) {
  for (const char* body : {"", "{}", "ok", R"({"status":"ok"})", R"({"FailedPutCount":"0"})"}) {
    EXPECT_EQ(judge(200, body).kind, Kind::kPause) << body;
  }
  EXPECT_EQ(judge(200, "{}").explanation, "HTTP 200; check the endpoint: no FailedPutCount came");
}

TEST(FirehoseAnswer, AProbeFindsTheStreamOrSaysThatItIsNone) {
  const auto exporter = firehose();
  const auto probed = [&](const std::string& body) {
    return exporter->judge(exporter->probe(kTestNow), answer_of(200, body), kTestNow).kind;
  };
  EXPECT_EQ(probed(R"({"DeliveryStreamDescription":{"DeliveryStreamStatus":"ACTIVE"}})"),
            Kind::kDelivered);
  EXPECT_EQ(probed("{}"), Kind::kPause);
}

TEST(FirehoseAnswer, FailuresThatItDoesNotNameAreAllSentAgain) {
  const Verdict verdict = judge(200, R"({"FailedPutCount":2,"RequestResponses":[{}]})");
  EXPECT_EQ(verdict.kind, Kind::kRetry);
  EXPECT_TRUE(verdict.items.empty());
}

TEST(FirehoseAnswer, CodesSayMoreThanStatuses) {
  const auto of = [](const std::string& code, const std::string& message = "words") {
    return judge(400, R"({"__type":"com.amazonaws.firehose#)" + code + R"(","message":")" +
                          message + R"("})");
  };
  EXPECT_EQ(of("ServiceUnavailableException").kind, Kind::kRetry);
  EXPECT_EQ(of("ThrottlingException").kind, Kind::kRetry);
  EXPECT_EQ(of("ResourceNotFoundException").kind, Kind::kPause);
  EXPECT_EQ(of("ResourceNotFoundException").explanation,
            "HTTP 400 (ResourceNotFoundException); check stream and region");
  EXPECT_EQ(of("InvalidSignatureException").kind, Kind::kPause);
  EXPECT_EQ(of("InvalidArgumentException").kind, Kind::kRejected);
  EXPECT_TRUE(of("InvalidArgumentException").blames_content);
  const Verdict size = of("ValidationException",
                          "Value at 'records.1.member.data' failed to satisfy constraint: Member "
                          "must have length less than or equal to 1024000");
  EXPECT_EQ(size.kind, Kind::kSplit);
  EXPECT_EQ(size.reason, RejectReason::kTooLarge);
}

TEST(FirehoseOptions, HostileStreamNamesAreRefused) {
  for (const char* wrong : {"a/b", "a\"b", "a b", ""}) {
    EXPECT_FALSE(make_destination("firehose", {{"stream", wrong}})) << wrong;
  }
}

}  // namespace
}  // namespace sidecast
