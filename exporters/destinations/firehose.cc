// exporters/destinations/firehose.cc: Amazon Data Firehose, PutRecordBatch. Needs
// firehose:PutRecordBatch, and firehose:DescribeDeliveryStream for the connection test. A 200 may
// hide failures: only the records that it names are sent again. Facts: reference
// "destinations-native" §13.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <simdjson.h>

#include "exporters/destinations/answer.h"
#include "exporters/destinations/aws.h"
#include "exporters/destinations/native.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Option kOptions[] = {
    {.name = "stream", .fallback = "", .help = "Name of the Firehose stream.", .required = true},
    {.name = "access_key_id",
     .fallback = "",
     .help = "Access key ID; it needs firehose:PutRecordBatch.",
     .secret = true,
     .required = true},
    {.name = "secret_access_key",
     .fallback = "",
     .help = "Secret access key.",
     .secret = true,
     .required = true},
    {.name = "session_token",
     .fallback = "",
     .help = "Session token of temporary credentials.",
     .secret = true},
    {.name = "region", .fallback = "us-east-1", .help = "Region of the stream."},
    {.name = "endpoint",
     .fallback = "",
     .help = "Other address than the region's, e.g. a FIPS or VPC endpoint."},
};

// Firehose's own limits. Whether its 4 MiB are of base64 or of what is in it nobody says: ours are
// of base64, which is right either way, with room for what stands between the records.
constexpr Limits kLimits{.batch_records_max = 500,
                         .batch_spans_max = 1U << 20U,
                         .batch_bytes_max = (4U << 20U) - (16U << 10U)};

constexpr std::array<std::string_view, 8> kTransient = {"ServiceUnavailableException",
                                                        "ServiceUnavailable",
                                                        "InternalFailure",
                                                        "InternalServerError",
                                                        "RequestTimeout",
                                                        "ThrottlingException",
                                                        "Throttling",
                                                        "LimitExceededException"};
// What the operator can mend.
constexpr std::array<std::string_view, 13> kMendable = {"ResourceNotFoundException",
                                                        "InvalidKMSResourceException",
                                                        "InvalidSourceException",
                                                        "AccessDeniedException",
                                                        "UnrecognizedClientException",
                                                        "InvalidSignatureException",
                                                        "InvalidClientTokenId",
                                                        "IncompleteSignature",
                                                        "IncompleteSignatureException",
                                                        "MissingAuthenticationToken",
                                                        "MissingAuthenticationTokenException",
                                                        "ExpiredTokenException",
                                                        "OptInRequired"};
constexpr std::array<std::string_view, 4> kContent = {
    "ValidationException", "InvalidArgumentException", "SerializationException", "ValidationError"};

template <std::size_t kCount>
std::string_view known(std::string_view code, const std::array<std::string_view, kCount>& codes) {
  const auto* const found = std::find(codes.begin(), codes.end(), code);
  return found == codes.end() ? std::string_view() : *found;
}

// {"__type":"com.amazonaws.firehose#ServiceUnavailableException"}, or the same in a header.
std::string error_code(const Response& response) {
  std::string code = json_member(response.body, "__type");
  if (code.empty()) code = header_value(response, "x-amzn-errortype");
  code = code.substr(code.rfind('#') + 1);
  return code.substr(0, code.find(':'));
}

class Firehose final : public NativeExporter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<const Exporter>> make(const OptionValues& options);

  [[nodiscard]] Result<std::vector<Request>> encode(
      std::shared_ptr<const Batch> batch) const override;
  [[nodiscard]] Status authorise(Request& request, const Secrets& secrets,
                                 Timestamp now) const override {
    return authorise_aws(request, secrets, kOptions, {.region = region_, .service = "firehose"},
                         now);
  }
  [[nodiscard]] Verdict judge(const Request& request, const Response& response,
                              Timestamp now) const override;
  [[nodiscard]] Request probe(Timestamp now) const override;

 private:
  std::string region_;
  std::string stream_;
};

void set_target(Request& request, std::string_view operation) {
  set_header(request, "x-amz-target", fmt::format("Firehose_20150804.{}", operation));
}

Result<std::unique_ptr<const Exporter>> Firehose::make(const OptionValues& options) {
  if (Status status = check_required(options, kOptions); !status) return fail(status.error());
  auto exporter = std::make_unique<Firehose>();
  exporter->stream_ = trim_blanks(options.get("stream"));
  const bool is_stream_name =
      exporter->stream_.size() <= 64 &&
      std::all_of(exporter->stream_.begin(), exporter->stream_.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.';
      });
  if (!is_stream_name) {
    return fail("stream is not the name of a stream: at most 64 letters, digits, - _ and .");
  }
  const std::string_view region = trim_blanks(options.get("region"));
  if (!is_region_name(region)) return fail("region is not the name of a region, e.g. eu-west-1");
  exporter->region_ = region;
  if (trim_blanks(options.get("endpoint")).empty()) {
    exporter->url_ = fmt::format("https://firehose.{}.{}/", region, aws_domain(region));
  } else if (Status status = exporter->read_url(options, "endpoint", "/"); !status) {
    return fail(status.error());
  }
  static constexpr std::string_view kTaken[] = {"x-amz-target", "authorization"};
  if (Status status = exporter->read_headers(options, "application/x-amz-json-1.1", kTaken);
      !status) {
    return fail(status.error());
  }
  if (Status status = exporter->read_encoder("firehose_record"); !status) {
    return fail(status.error());
  }
  exporter->format_.envelope = Envelope{
      .prefix = fmt::format(R"({{"DeliveryStreamName":"{}","Records":[)", exporter->stream_),
      .suffix = "]}"};
  exporter->format_.hash_body = true;
  exporter->format_.limits = kLimits;
  return std::unique_ptr<const Exporter>(std::move(exporter));
}

Result<std::vector<Request>> Firehose::encode(std::shared_ptr<const Batch> batch) const {
  if (!batch->body_hash) return fail("encode a Firehose batch: its body was not hashed");
  const std::string hash = to_hex(as_bytes(*batch->body_hash));
  auto requests = NativeExporter::encode(std::move(batch));
  if (!requests) return requests;
  set_target(requests->front(), "PutRecordBatch");
  set_header(requests->front(), "x-amz-content-sha256", hash);
  return requests;
}

// {"DeliveryStreamDescription":{...}}
Verdict judge_description(const Response& response) {
  Verdict verdict;
  simdjson::dom::parser parser;
  simdjson::dom::object description;
  if (parser.parse(response.body.data(), response.body.size())["DeliveryStreamDescription"].get(
          description) == simdjson::SUCCESS) {
    return verdict;
  }
  verdict.kind = Verdict::Kind::kPause;
  verdict.explanation = explain(response, "", "check the endpoint: it describes no stream");
  return verdict;
}

// {"FailedPutCount":1,"RequestResponses":[{"RecordId":"..."},{"ErrorCode":"..."}]}: one response
// for each record, in their order.
Verdict judge_records(const Request& request, const Response& response) {
  Verdict verdict;
  simdjson::dom::parser parser;
  const auto document = parser.parse(response.body.data(), response.body.size());
  std::int64_t failed = 0;
  if (document["FailedPutCount"].get(failed) != simdjson::SUCCESS) {
    // Whoever answered, it was not Firehose: its API promises the number.
    verdict.kind = Verdict::Kind::kPause;
    verdict.explanation = explain(response, "", "check the endpoint: no FailedPutCount came");
    return verdict;
  }
  if (failed <= 0) return verdict;
  simdjson::dom::array responses;
  if (document["RequestResponses"].get(responses) != simdjson::SUCCESS ||
      responses.size() != request.record_count) {
    // Which ones failed is not known: all again, since twice is better than never.
    verdict.kind = Verdict::Kind::kRetry;
    verdict.explanation = explain(response, "", "failed records that it does not name");
    return verdict;
  }
  verdict.kind = Verdict::Kind::kPartial;
  verdict.reason = RejectReason::kPartial;
  std::string_view first_code;
  for (const simdjson::dom::element each : responses) {
    std::string_view code;
    const bool is_failed = each["ErrorCode"].get(code) == simdjson::SUCCESS && !code.empty();
    verdict.items.push_back(is_failed ? ItemFate::kRetry : ItemFate::kDelivered);
    if (is_failed && first_code.empty()) first_code = known(code, kTransient);
  }
  const auto count = std::count(verdict.items.begin(), verdict.items.end(), ItemFate::kRetry);
  verdict.explanation =
      explain(response, first_code, fmt::format("records to be sent again: {}", count));
  return verdict;
}

Verdict Firehose::judge(const Request& request, const Response& response, Timestamp now) const {
  Verdict verdict = judge_native(request, response, now);
  if (response.failure != Response::Failure::kNone) return verdict;
  if (verdict.kind == Verdict::Kind::kDelivered) {
    return request.record_count == 0 ? judge_description(response)
                                     : judge_records(request, response);
  }
  const std::string code = error_code(response);
  if (const std::string_view name = known(code, kTransient); !name.empty()) {
    verdict.kind = Verdict::Kind::kRetry;
    verdict.retry_hint = retry_hint(response, now);
    verdict.explanation = explain(response, name, "");
  } else if (const std::string_view mendable = known(code, kMendable); !mendable.empty()) {
    verdict.kind = Verdict::Kind::kPause;
    verdict.explanation = explain(response, mendable,
                                  mendable == "ResourceNotFoundException"
                                      ? "check stream and region"
                                      : "check the credentials and what they allow");
  } else if (const std::string_view content = known(code, kContent); !content.empty()) {
    // "Member must have length less than or equal to 1024000": one record is larger than it takes.
    const bool is_size =
        json_member(response.body, "message").find("less than or equal to") != std::string::npos;
    verdict.kind = is_size ? Verdict::Kind::kSplit : Verdict::Kind::kRejected;
    verdict.reason = is_size ? RejectReason::kTooLarge : RejectReason::kRejected;
    verdict.blames_content = true;
    verdict.explanation =
        explain(response, content, is_size ? "a record is larger than it takes" : "");
  }
  return verdict;
}

Request Firehose::probe(Timestamp) const {
  std::string body = fmt::format(R"({{"DeliveryStreamName":"{}","Limit":1}})", stream_);
  const std::string hash = to_hex(as_bytes(sha256(body)));
  Request request = post(std::move(body));
  set_target(request, "DescribeDeliveryStream");
  set_header(request, "x-amz-content-sha256", hash);
  return request;
}

}  // namespace

namespace destinations {
const Destination firehose{.name = "firehose",
                           .summary = "Amazon Data Firehose, on the way to S3, Redshift and others",
                           .options = kOptions,
                           .make = &Firehose::make};
}  // namespace destinations

}  // namespace sidecast
