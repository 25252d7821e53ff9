// The OTLP exporter: where it sends, what it sends, and how it reads answers.
#include "exporters/destinations/otlp.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "exporters/destinations/answer.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Timestamp kNow = Timestamp(std::chrono::seconds(1'700'000'000));
using Kind = Verdict::Kind;

using Changes = std::vector<std::pair<std::string, std::string>>;

Result<std::unique_ptr<const Exporter>> make(std::string_view type, const Changes& changes) {
  const Destination* const destination = find_destination_type(type);
  OptionValues options;
  for (const Option& option : destination->options) {
    if (!option.secret) options.values.emplace(option.name, option.fallback);
  }
  for (const auto& [name, value] : changes) options.values.insert_or_assign(name, value);
  return destination->make(options);
}

Request request_of(const Exporter& exporter) {
  auto batch = std::make_shared<Batch>();
  batch->records.resize(2);
  batch->body = std::make_shared<const std::string>("frozen");
  batch->content_encoding = "gzip";
  auto requests = exporter.encode(std::move(batch));
  return std::move(requests->at(0));
}

std::string url_of(const Changes& changes) {
  const auto exporter = make("otlp", changes);
  return exporter ? request_of(**exporter).url : "error: " + exporter.error().message();
}

std::string header_of(const Request& request, std::string_view name) {
  for (const Header& header : request.headers) {
    if (header.name == name) return header.value;
  }
  return "(none)";
}

TEST(OtlpUrl, TracesPathIsAppendedUnlessItStandsThere) {
  EXPECT_EQ(url_of({{"endpoint", "http://h:4318"}}), "http://h:4318/v1/traces");
  EXPECT_EQ(url_of({{"endpoint", "http://h:4318/"}}), "http://h:4318/v1/traces");
  EXPECT_EQ(url_of({{"endpoint", "http://h:4318/v1/traces"}}), "http://h:4318/v1/traces");
  EXPECT_EQ(url_of({{"endpoint", "http://h/v1/traces/"}}), "http://h/v1/traces");
  EXPECT_EQ(url_of({{"endpoint", "https://h/api/otlp?k=v"}}), "https://h/api/otlp/v1/traces?k=v");
  EXPECT_EQ(url_of({{"endpoint", "https://h/in"}, {"traces_path", "/"}}), "https://h/in");
  EXPECT_EQ(url_of({{"endpoint", "https://h"}, {"traces_path", "/"}}), "https://h/");
  EXPECT_EQ(url_of({{"endpoint", "https://h"}, {"traces_path", "/otel/spans"}}),
            "https://h/otel/spans");
  EXPECT_NE(url_of({{"endpoint", "https://h"}, {"traces_path", "v1"}}).find("traces_path"),
            std::string::npos);
}

TEST(OtlpRequest, SendsTheFrozenBodyAsItLies) {
  const auto exporter = make("otlp", {{"endpoint", "http://h:4318"}});
  auto batch = std::make_shared<Batch>();
  batch->records.resize(2);
  batch->body = std::make_shared<const std::string>("frozen");
  batch->content_encoding = "gzip";
  const auto requests = (*exporter)->encode(batch);
  ASSERT_EQ(requests->size(), 1U);
  const Request& request = requests->at(0);
  ASSERT_EQ(request.body.size(), 1U);
  EXPECT_EQ(request.body[0].data(), batch->body->data());
  EXPECT_EQ(request.record_count, 2U);
  EXPECT_EQ(header_of(request, "content-type"), "application/x-protobuf");
  EXPECT_EQ(header_of(request, "content-encoding"), "gzip");
}

TEST(OtlpRequest, AuthorizationIsSentOnlyWhenThereIsOne) {
  const auto exporter = make("otlp", {{"endpoint", "http://h:4318"}});
  Request request = request_of(**exporter);
  ASSERT_TRUE((*exporter)->authorise(request, {}, kNow));
  EXPECT_EQ(header_of(request, "authorization"), "(none)");
  Secrets secrets;
  secrets.emplace("authorization", Secret("Bearer abc\n"));
  ASSERT_TRUE((*exporter)->authorise(request, secrets, kNow));
  EXPECT_EQ(header_of(request, "authorization"), "Bearer abc");
}

TEST(OtlpRequest, ExtraHeadersAreSentButCannotContradictTheEncoding) {
  const Destination* const otlp = find_destination_type("otlp");
  OptionValues options;
  for (const Option& option : otlp->options) options.values.emplace(option.name, option.fallback);
  options.values.insert_or_assign("endpoint", "http://h");
  options.headers = {{"X-Scope-OrgID", "tenant-1"}};
  const auto exporter = otlp->make(options);
  ASSERT_TRUE(exporter);
  EXPECT_EQ(header_of(request_of(**exporter), "X-Scope-OrgID"), "tenant-1");
  options.headers = {{"Content-Encoding", "br"}};
  EXPECT_FALSE(otlp->make(options));
  options.headers = {{"X-A", "1\r\nX-B: 2"}};
  EXPECT_FALSE(otlp->make(options));
}

TEST(OtlpFormat, OptionsChooseEncodingCompressionResourceAndLimits) {
  const auto exporter = make("otlp", {{"endpoint", "http://h"},
                                      {"encoding", "otlp_json"},
                                      {"compression", "zstd"},
                                      {"service_name", "my-gateway"},
                                      {"resource_attributes", "a=1,service.name=other"},
                                      {"batch_bytes_max", "15MiB"},
                                      {"batch_records_max", "7"}});
  ASSERT_TRUE(exporter) << exporter.error().message();
  const Format& format = (*exporter)->format();
  EXPECT_EQ(format.encoder->name, "otlp_json");
  EXPECT_EQ(format.dialect->name, "generic");
  EXPECT_EQ(format.compression, Compression::kZstd);
  EXPECT_EQ(format.limits.batch_bytes_max, 15U << 20U);
  EXPECT_EQ(format.limits.batch_records_max, 7U);
  const std::vector<std::pair<std::string, std::string>> resource = {{"service.name", "other"},
                                                                     {"a", "1"}};
  EXPECT_EQ(format.dialect_options.resource, resource);
}

TEST(OtlpFormat, MisspelledDialectIsHelped) {
  const auto exporter = make("otlp", {{"endpoint", "http://h"}, {"dialect", "openinferense"}});
  ASSERT_FALSE(exporter);
  EXPECT_NE(exporter.error().message().find("did you mean 'openinference'?"), std::string::npos)
      << exporter.error().message();
}

TEST(Arize, SendsWhatArizeReads) {
  const auto exporter = make("arize", {{"project", "my-project"}});
  ASSERT_TRUE(exporter) << exporter.error().message();
  const Format& format = (*exporter)->format();
  EXPECT_EQ(format.dialect->name, "openinference");
  EXPECT_EQ(format.encoder->name, "otlp_protobuf");
  EXPECT_EQ(format.compression, Compression::kGzip);
  const std::vector<std::pair<std::string, std::string>> resource = {
      {"service.name", "sidecast"},
      {"openinference.project.name", "my-project"},
      {"model_id", "my-project"}};
  EXPECT_EQ(format.dialect_options.resource, resource);
  Request request = request_of(**exporter);
  EXPECT_EQ(request.url, "https://otlp.arize.com/v1/traces");
  Secrets secrets;
  secrets.emplace("api_key", Secret("ak-123456"));
  secrets.emplace("space_key", Secret("U3BhY2U6MQ=="));
  ASSERT_TRUE((*exporter)->authorise(request, secrets, kNow));
  EXPECT_EQ(header_of(request, "authorization"), "ak-123456");
  EXPECT_EQ(header_of(request, "arize-space-id"), "U3BhY2U6MQ==");
  EXPECT_EQ(header_of(request, "api_key"), "ak-123456");
  EXPECT_EQ(header_of(request, "space_id"), "U3BhY2U6MQ==");
}

TEST(OtlpProbe, IsEmptyWhereThatSuffices) {
  EXPECT_EQ((*make("otlp", {{"endpoint", "http://h"}}))->probe(kNow).body_bytes(), 0U);
  const auto json = make("otlp", {{"endpoint", "http://h"}, {"encoding", "otlp_json"}});
  std::string body;
  const Request probe = (*json)->probe(kNow);
  for (const Bytes piece : probe.body) body += piece;
  EXPECT_EQ(body, R"({"resourceSpans":[]})");
}

TEST(OtlpProbe, IsOneMarkedSpanWhereNothingElseProvesIt) {
  const Request probe = (*make("arize", {{"project", "p"}}))->probe(kNow);
  std::string body;
  for (const Bytes piece : probe.body) body += piece;
  EXPECT_NE(body.find("sidecast-connection-test"), std::string::npos);
  EXPECT_NE(body.find("openinference.project.name"), std::string::npos);
}

// ---- Answers ----------------------------------------------------------------------------------

class OtlpAnswer : public ::testing::Test {
 protected:
  Verdict judge(int status, std::string body, std::string type = "application/x-protobuf") {
    Response response;
    response.status = status;
    response.body = std::move(body);
    if (!type.empty()) response.headers.push_back({"content-type", std::move(type)});
    return judge_otlp(request_, response, kNow, retried_);
  }
  Request request_{.headers = {{"content-type", "application/x-protobuf"}}};
  std::vector<int> retried_;
};

// ExportTraceServiceResponse{partial_success{rejected_spans: 3, error_message: "bad"}}
const std::string kPartial(
    "\x0a\x07\x08\x03\x12\x03"
    "bad",
    9);

TEST_F(OtlpAnswer, PartialSuccessIsReadInProtobuf) {
  const Verdict verdict = judge(200, kPartial);
  EXPECT_EQ(verdict.kind, Kind::kPartial);
  EXPECT_EQ(verdict.reason, RejectReason::kPartial);
  EXPECT_EQ(verdict.rejected_spans, 3U);
  EXPECT_EQ(verdict.explanation, "HTTP 200; rejected spans: 3");
  EXPECT_EQ(verdict.server_text, "bad");
}

TEST_F(OtlpAnswer, PartialSuccessIsReadInJsonHoweverItIsSpelled) {
  for (const char* body : {R"({"partialSuccess":{"rejectedSpans":"3","errorMessage":"bad"}})",
                           R"({"partialSuccess":{"rejectedSpans":3,"errorMessage":"bad"}})",
                           R"({"partial_success":{"rejected_spans":3.0,"error_message":"bad"}})"}) {
    const Verdict verdict = judge(200, body, "application/json; charset=utf-8");
    EXPECT_EQ(verdict.kind, Kind::kPartial) << body;
    EXPECT_EQ(verdict.rejected_spans, 3U) << body;
    EXPECT_EQ(verdict.explanation, "HTTP 200; rejected spans: 3");
    EXPECT_EQ(verdict.server_text, "bad");
  }
}

TEST_F(OtlpAnswer, AnswersTypeIsItsOwnElseTheRequests) {
  EXPECT_EQ(judge(200, kPartial, "").rejected_spans, 3U);
  EXPECT_EQ(judge(200, kPartial, "text/plain").rejected_spans, 3U);
  request_.headers[0].value = "application/json";
  EXPECT_EQ(judge(200, R"({"partialSuccess":{"rejectedSpans":"2"}})", "").rejected_spans, 2U);
  EXPECT_EQ(judge(200, kPartial, "application/x-protobuf").rejected_spans, 3U);
}

TEST_F(OtlpAnswer, MessageWithoutRejectedSpansIsAWarning) {
  const Verdict verdict = judge(
      200, R"({"partialSuccess":{"rejectedSpans":"0","errorMessage":"old"}})", "application/json");
  EXPECT_EQ(verdict.kind, Kind::kDelivered);
  EXPECT_EQ(verdict.explanation, "HTTP 200; accepted, with a warning");
  EXPECT_EQ(verdict.server_text, "old");
}

TEST_F(OtlpAnswer, HostileSuccessBodiesCountAsPlainSuccess) {
  const std::string deep = std::string(100'000, '[');
  for (const std::string& body :
       {std::string("ok"), std::string("\x0a\xff\xff\xff\xff\x0f", 6),
        std::string("\x0a\x02\x08", 3), deep,
        std::string("{\"partialSuccess\":{\"rejectedSpans\":\"-5\"}}"),
        std::string("{\"partialSuccess\":[1,2]}"), std::string("{\"partialSuccess\":null}"),
        std::string("\x1f\x8b\x08 gzipped", 11), std::string("[]"), std::string("null")}) {
    EXPECT_EQ(judge(200, body).kind, Kind::kDelivered) << body.substr(0, 40);
    EXPECT_EQ(judge(200, body, "application/json").kind, Kind::kDelivered) << body.substr(0, 40);
  }
  // A negative number of rejected spans, in protobuf.
  EXPECT_EQ(
      judge(200, std::string("\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13)).kind,
      Kind::kDelivered);
}

TEST_F(OtlpAnswer, CollectorsRefusalForSizeIsASplit) {
  // google.rpc.Status{code: 3, message: "http: request body too large"}
  const std::string status = std::string("\x08\x03\x12\x1c") + "http: request body too large";
  EXPECT_EQ(judge(400, status).kind, Kind::kSplit);
  EXPECT_EQ(judge(400, "http: request body too large\n", "text/plain").kind, Kind::kSplit);
  EXPECT_EQ(judge(400, R"({"code":3,"message":"invalid span id"})", "application/json").kind,
            Kind::kRejected);
  EXPECT_EQ(judge(400, "").kind, Kind::kRejected);
}

TEST_F(OtlpAnswer, ExceptionsOfADestinationAreRetried) {
  EXPECT_EQ(judge(500, "").kind, Kind::kRejected);
  EXPECT_EQ(judge(408, "").kind, Kind::kRejected);
  retried_ = {408, 500};
  EXPECT_EQ(judge(500, "").kind, Kind::kRetry);
  EXPECT_EQ(judge(408, "").kind, Kind::kRetry);
}

TEST_F(OtlpAnswer, ServersWordsAreFoundInEveryUsualShape) {
  EXPECT_EQ(judge(422, R"({"error":"wrong id"})", "application/json").server_text, "wrong id");
  EXPECT_EQ(judge(422, R"({"error":{"message":"wrong id"}})", "application/json").server_text,
            "wrong id");
  EXPECT_EQ(judge(422, R"({"errors":[{"detail":"wrong id"}]})", "text/plain").server_text,
            "wrong id");
  EXPECT_EQ(judge(422, "wrong\r\n\tid \x01", "text/plain").server_text, "wrong id");
  EXPECT_EQ(judge(404, "<html><title>Not\nhere</title>", "text/html").server_text,
            "an HTML page titled Not here");
}

TEST_F(OtlpAnswer, ExplanationIsOurOwnWordsOnly) {
  EXPECT_EQ(judge(422, "prompt: my password is tulip", "text/plain").explanation, "HTTP 422");
  EXPECT_EQ(judge(404, "<html><title>tulip</title>", "text/html").explanation,
            "HTTP 404; check the endpoint");
  EXPECT_EQ(judge(307, "tulip").explanation,
            "HTTP 307; redirects are not followed; check the endpoint");
  EXPECT_EQ(judge(413, "tulip").explanation, "HTTP 413; the request is larger than it takes");
  // Codes of the fixed list are named, others are not.
  EXPECT_EQ(judge(400, "\x08\x03\x12\x05tulip").explanation, "HTTP 400 (INVALID_ARGUMENT)");
  EXPECT_EQ(judge(400, R"({"code":8,"message":"tulip"})", "application/json").explanation,
            "HTTP 400 (RESOURCE_EXHAUSTED)");
  EXPECT_EQ(judge(503, R"({"error":{"code":503,"status":"UNAVAILABLE","message":"tulip"}})",
                  "application/json")
                .explanation,
            "HTTP 503 (UNAVAILABLE)");
  EXPECT_EQ(judge(400, R"({"code":"TULIP","status":"tulip"})", "application/json").explanation,
            "HTTP 400");
  EXPECT_EQ(judge(200, R"({"partialSuccess":{"rejectedSpans":"1","errorMessage":"tulip"}})",
                  "application/json")
                .explanation,
            "HTTP 200; rejected spans: 1");
}

TEST_F(OtlpAnswer, AnswerOfGrpcIsNoReceiver) {
  const Verdict verdict = judge(200, "", "application/grpc+proto");
  EXPECT_EQ(verdict.kind, Verdict::Kind::kPause);
  EXPECT_EQ(verdict.explanation, "HTTP 200; check the endpoint: a gRPC server answered");
}

TEST_F(OtlpAnswer, NamesOutOfACertificateAreNotRepeated) {
  Response response;
  response.failure = Response::Failure::kTls;
  response.failure_text = "SSL: certificate subject name 'tulip' does not match host name 'h'";
  EXPECT_EQ(judge_otlp(request_, response, kNow, retried_).explanation,
            "TLS failed: SSL: certificate subject name ... does not match host name ...");
}

TEST_F(OtlpAnswer, HostileWritingDirectionAndCutCharactersAreRemoved) {
  EXPECT_EQ(judge(422,
                  "a\xe2\x80\xae"
                  "b\xc2\x85"
                  "c\xff",
                  "text/plain")
                .server_text,
            "a b c\xef\xbf\xbd");
  const std::string line =
      judge(422, std::string(kServerTextBytesMax - 4, 'x') + "\xe2\x82\xac\xe2\x82\xac",
            "text/plain")
          .server_text;
  EXPECT_EQ(line.size(), kServerTextBytesMax - 1) << "cut before the character, not in it";
}

TEST_F(OtlpAnswer, QuotedSecretsBecomeStars) {
  request_.headers.push_back({"authorization", "Bearer abcdef123"});
  EXPECT_EQ(judge(401, "unknown token abcdef123", "text/plain").server_text, "unknown token ***");
  // Even where the cut would have left a part of it.
  const std::string long_text = std::string(kServerTextBytesMax - 5, '-') + " abcdef123";
  EXPECT_EQ(judge(401, long_text, "text/plain").server_text.find("abc"), std::string::npos);
}

TEST(RetryAfter, IsReadInFull) {
  const auto hint = [](const char* value) {
    Response response;
    response.headers = {{"retry-after", value}};
    return retry_hint(response, kNow);  // Tue, 14 Nov 2023 22:13:20 GMT
  };
  EXPECT_EQ(hint("0"), Milliseconds(0));
  EXPECT_EQ(hint(" 120 "), Milliseconds(120'000));
  EXPECT_EQ(hint("1.5"), Milliseconds(2000));
  EXPECT_EQ(hint("86400"), Milliseconds(86'400'000));
  EXPECT_EQ(hint("99999999999999999999999"), std::chrono::hours(24 * 7));
  EXPECT_EQ(hint("Tue, 14 Nov 2023 22:14:20 GMT"), Milliseconds(60'000));
  EXPECT_EQ(hint("Tuesday, 14-Nov-23 22:14:20 GMT"), Milliseconds(60'000));
  EXPECT_EQ(hint("Tue Nov 14 22:14:20 2023"), Milliseconds(60'000));
  EXPECT_EQ(hint("Tue, 14 Nov 2023 21:00:00 GMT"), Milliseconds(0));
  for (const char* wrong : {"", "soon", "-5", "Tue, 31 Feb 2023 22:14:20 GMT",
                            "Tue, 14 Xyz 2023 22:14:20 GMT", "Tue, 14 Nov 2023"}) {
    EXPECT_EQ(hint(wrong), std::nullopt) << wrong;
  }
}

}  // namespace
}  // namespace sidecast
