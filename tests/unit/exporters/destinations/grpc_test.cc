// OTLP/gRPC: the frame on the wire, and what each answer means (reference "otlp" §6 and §7).
#include "exporters/destinations/grpc.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

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
  options.values.insert_or_assign("protocol", "grpc");
  options.values.insert_or_assign("endpoint", "http://h:4317");
  for (const auto& [name, value] : changes) options.values.insert_or_assign(name, value);
  return destination->make(options);
}

std::string error_of(const Changes& changes) {
  const auto made = make("otlp", changes);
  return made ? "none" : made.error().message();
}

std::string header_of(const Request& request, std::string_view name) {
  for (const Header& header : request.headers) {
    if (header.name == name) return header.value;
  }
  return "(none)";
}

Request request_of(std::string_view content_encoding) {
  auto batch = std::make_shared<Batch>();
  batch->records.resize(2);
  batch->body = std::make_shared<const std::string>(300, 'm');
  batch->content_encoding = content_encoding;
  return std::move((*make("otlp", {}))->encode(std::move(batch))->at(0));
}

TEST(GrpcRequest, IsOneFramedMessageToTheTraceService) {
  const Request plain = request_of("");
  EXPECT_TRUE(plain.http2);
  EXPECT_EQ(plain.url, "http://h:4317/opentelemetry.proto.collector.trace.v1.TraceService/Export");
  EXPECT_EQ(header_of(plain, "content-type"), "application/grpc");
  EXPECT_EQ(header_of(plain, "te"), "trailers");
  EXPECT_EQ(header_of(plain, "grpc-encoding"), "(none)");
  ASSERT_EQ(plain.body.size(), 2U);
  EXPECT_EQ(plain.body[0], std::string_view("\0\0\0\1\x2c", 5));
  EXPECT_EQ(plain.body[1], std::string(300, 'm'));

  const Request zipped = request_of("gzip");
  EXPECT_EQ(header_of(zipped, "grpc-encoding"), "gzip");
  EXPECT_EQ(header_of(zipped, "content-encoding"), "(none)");
  EXPECT_EQ(zipped.body[0], std::string_view("\1\0\0\1\x2c", 5));
}

TEST(GrpcRequest, ProbeIsAnEmptyMessage) {
  const Request probe = (*make("otlp", {}))->probe(kNow);
  EXPECT_TRUE(probe.http2);
  ASSERT_EQ(probe.body.size(), 1U);
  EXPECT_EQ(probe.body[0], std::string_view("\0\0\0\0\0", 5));
}

TEST(GrpcOptions, WhatCannotBeSentIsRefused) {
  EXPECT_NE(error_of({{"endpoint", "http://h:4317/v1/traces"}}).find("write http://h:4317"),
            std::string::npos);
  EXPECT_NE(error_of({{"encoding", "otlp_json"}}).find("otlp_protobuf"), std::string::npos);
  EXPECT_NE(error_of({{"protocol", "udp"}}).find("protocol"), std::string::npos);
  EXPECT_EQ(error_of({{"endpoint", "https://h/"}}), "none");
}

TEST(GrpcOptions, BatchesStayBelowTheUsualMessageLimit) {
  EXPECT_EQ((*make("otlp", {}))->format().limits.batch_bytes_max, kGrpcBatchBytesMax);
  const auto own = make("otlp", {{"batch_bytes_max", "16MiB"}});
  EXPECT_EQ((*own)->format().limits.batch_bytes_max, 16U << 20U);
}

// ---- Answers ------------------------------------------------------------------------------------

Response answer(std::vector<Header> headers, std::string body = {}, int status = 200) {
  Response response;
  response.status = status;
  response.headers = std::move(headers);
  response.headers.insert(response.headers.begin(), {"content-type", "application/grpc"});
  response.body = std::move(body);
  return response;
}

Verdict judge(const Response& response) {
  return judge_grpc(request_of(""), response, kNow);
}

std::string framed(const std::string& message) {
  return std::string(4, '\0') + static_cast<char>(message.size()) + message;
}

TEST(GrpcAnswer, OkIsDelivered) {
  EXPECT_EQ(judge(answer({{"grpc-status", "0"}}, framed(""))).kind, Kind::kDelivered);
  EXPECT_EQ(judge(answer({{"grpc-status", "0"}})).kind, Kind::kDelivered);
}

TEST(GrpcAnswer, RejectedSpansOfAnOkAreCounted) {
  // partial_success {rejected_spans: 7, error_message: "no"}
  const Verdict verdict =
      judge(answer({{"grpc-status", "0"}}, framed("\x0a\x06\x08\x07\x12\x02no")));
  EXPECT_EQ(verdict.kind, Kind::kPartial);
  EXPECT_EQ(verdict.rejected_spans, 7U);
  EXPECT_EQ(verdict.server_text, "no");
}

TEST(GrpcAnswer, WithoutAStatusProvesNothing) {
  const Verdict cut = judge(answer({}, framed("")));
  EXPECT_EQ(cut.kind, Kind::kRetry);
  Response web_page;
  web_page.status = 200;
  web_page.headers = {{"content-type", "text/html"}};
  EXPECT_EQ(judge(web_page).kind, Kind::kPause);
}

TEST(GrpcAnswer, EachCodeHasItsVerdict) {
  const std::pair<const char*, Kind> expected[] = {
      {"1", Kind::kRetry},     {"2", Kind::kRejected},  {"3", Kind::kRejected},
      {"4", Kind::kRetry},     {"5", Kind::kPause},     {"6", Kind::kRejected},
      {"7", Kind::kPause},     {"8", Kind::kRejected},  {"9", Kind::kRejected},
      {"10", Kind::kRetry},    {"11", Kind::kRetry},    {"12", Kind::kPause},
      {"13", Kind::kRejected}, {"14", Kind::kRetry},    {"15", Kind::kRetry},
      {"16", Kind::kPause},    {"99", Kind::kRejected}, {"-1", Kind::kRejected},
      {"0x", Kind::kRejected}};
  for (const auto& [code, kind] : expected) {
    SCOPED_TRACE(code);
    EXPECT_EQ(judge(answer({{"grpc-status", code}})).kind, kind);
  }
  EXPECT_TRUE(judge(answer({{"grpc-status", "3"}})).blames_content);
  EXPECT_FALSE(judge(answer({{"grpc-status", "13"}})).blames_content);
}

TEST(GrpcAnswer, StatusOfAProxyCountsWhereThereIsNone) {
  const std::pair<int, Kind> expected[] = {
      {401, Kind::kPause}, {403, Kind::kPause},    {404, Kind::kPause},
      {429, Kind::kRetry}, {502, Kind::kRetry},    {503, Kind::kRetry},
      {504, Kind::kRetry}, {400, Kind::kRejected}, {500, Kind::kRejected}};
  for (const auto& [status, kind] : expected) {
    SCOPED_TRACE(status);
    EXPECT_EQ(judge(answer({}, "", status)).kind, kind);
  }
}

TEST(GrpcAnswer, ExhaustedMeansLaterWithADelayAndSmallerWithASize) {
  // google.rpc.Status {code: 8, details: [RetryInfo {retry_delay {seconds: 52, nanos:
  // 500000000}}]}, without padding, as grpc-go sends it.
  const std::string details =
      "CAgaNgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIKCggINBCAyrXuAQ";
  const Verdict later = judge(answer({{"grpc-status", "8"}, {"grpc-status-details-bin", details}}));
  EXPECT_EQ(later.kind, Kind::kRetry);
  EXPECT_EQ(later.retry_hint, std::chrono::milliseconds(52'500));

  const Verdict smaller = judge(
      answer({{"grpc-status", "8"},
              {"grpc-message",
               "grpc: received message larger than max (5242880 vs. 4194304), 100%25 of it"}}));
  EXPECT_EQ(smaller.kind, Kind::kSplit);
  EXPECT_EQ(smaller.server_text,
            "grpc: received message larger than max (5242880 vs. 4194304), 100% of it");
}

TEST(GrpcAnswer, HostileDetailsSayNothing) {
  for (const char* details : {"", "====", "!!!!", "CAga/w", "Gv///////w8", "A"}) {
    SCOPED_TRACE(details);
    const Verdict verdict =
        judge(answer({{"grpc-status", "14"}, {"grpc-status-details-bin", details}}));
    EXPECT_EQ(verdict.kind, Kind::kRetry);
    EXPECT_FALSE(verdict.retry_hint.has_value());
  }
  for (const std::string& body : {std::string("\0\xff\xff\xff\xff", 5), std::string("\0", 1),
                                  std::string("\1\0\0\0\1x", 6), framed("\x0a\x7f")}) {
    EXPECT_EQ(judge(answer({{"grpc-status", "0"}}, body)).kind, Kind::kDelivered);
  }
}

TEST(GrpcAnswer, NoAnswerIsTriedAgain) {
  Response response;
  response.failure = Response::Failure::kReset;
  EXPECT_EQ(judge(response).kind, Kind::kRetry);
}

}  // namespace
}  // namespace sidecast
