// exporters/destinations/s3.cc: one JSON object per trace, or one object of JSON Lines per batch,
// in a bucket of S3 or of a service that speaks it. Only s3:PutObject is needed. Keys: s3_key.h;
// signature: sigv4.h; the facts: reference "destinations-native" §9.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "engine/base/sha256.h"
#include "exporters/destinations/answer.h"
#include "exporters/destinations/aws.h"
#include "exporters/destinations/options.h"
#include "exporters/destinations/s3_key.h"
#include "exporters/destinations/scrub.h"
#include "exporters/destinations/sigv4.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Option kOptions[] = {
    {.name = "bucket", .fallback = "", .help = "Name of the bucket.", .required = true},
    // The key id is a credential, not an address: with the secret beside it, new credentials apply
    // to batches that wait, instead of making another destination of this one.
    {.name = "access_key_id",
     .fallback = "",
     .help = "Access key ID; it needs s3:PutObject only.",
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
    {.name = "region", .fallback = "us-east-1", .help = "Region of the bucket; R2: auto."},
    {.name = "endpoint",
     .fallback = "",
     .help = "Service other than AWS, e.g. https://storage.googleapis.com (path style)."},
    {.name = "prefix", .fallback = "sidecast-traces", .help = "Folder of all objects."},
    {.name = "path_template",
     .fallback = "{prefix}/{date}",
     .help = "Folder of an object: {prefix} {date} {year} {month} {day} {hour} {apiKeyName}."},
    {.name = "dialect", .fallback = "generic", .help = "Names of the metadata in the object."},
    {.name = "objects",
     .fallback = "trace",
     .help = "trace: one object for each record; batch: JSON Lines, many records in one."},
    {.name = "compression",
     .fallback = "gzip",
     .help = "Of a batch's object: none, gzip (.gz) or zstd (.zst)."},
    {.name = "batch_records_max",
     .fallback = "10000",
     .help = "Records in a batch's object.",
     .tuning = true},
    {.name = "batch_bytes_max",
     .fallback = "16MiB",
     .help = "Uncompressed size of a batch's object.",
     .tuning = true},
};

constexpr std::string_view kProbeBody = R"({"sidecast":"connection test"})";

bool is_bucket_name(std::string_view name, bool is_aws) {
  const std::size_t min = is_aws ? 3 : 1;
  const std::size_t max = is_aws ? 63 : 255;
  if (name.size() < min || name.size() > max || name.find("..") != std::string_view::npos ||
      name == ".") {
    return false;
  }
  return std::all_of(name.begin(), name.end(), [is_aws](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           (!is_aws && ((c >= 'A' && c <= 'Z') || c == '_'));
  });
}

// "eu-west-1", "us-gov-east-1".
bool is_aws_region(std::string_view name) {
  if (name.size() > 24 || name.size() < 4) return false;
  const auto is_in = [name](std::size_t at, char first, char last) {
    return at < name.size() && name[at] >= first && name[at] <= last;
  };
  const std::size_t number = name.rfind('-');
  if (number == std::string_view::npos || number + 1 == name.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool is_right = i > number ? is_in(i, '0', '9') : is_in(i, 'a', 'z') || name[i] == '-';
    if (!is_right) return false;
  }
  return is_in(0, 'a', 'z') && is_in(1, 'a', 'z') && name[2] == '-' && name.size() - number <= 3;
}

// The text of an element of S3's error documents, which are flat and name each element once.
std::string_view element_text(std::string_view xml, std::string_view name) {
  const std::string open = fmt::format("<{}>", name);
  const std::size_t begin = xml.find(open);
  if (begin == std::string_view::npos) return {};
  const std::string_view rest = xml.substr(begin + open.size());
  return rest.substr(0, std::min(rest.find('<'), std::size_t{512}));
}

template <std::size_t kCount>
bool is_one_of(std::string_view code, const std::array<std::string_view, kCount>& codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

class S3 final : public Exporter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<const Exporter>> make(const OptionValues& options);

  [[nodiscard]] const Format& format() const noexcept override { return format_; }
  [[nodiscard]] Result<std::vector<Request>> encode(
      std::shared_ptr<const Batch> batch) const override;
  [[nodiscard]] Status authorise(Request& request, const Secrets& secrets,
                                 Timestamp now) const override;
  [[nodiscard]] Verdict judge(const Request& request, const Response& response,
                              Timestamp now) const override;
  [[nodiscard]] Request probe(Timestamp now) const override;

 private:
  explicit S3(S3KeyTemplate keys) : keys_(std::move(keys)) {}

  [[nodiscard]] Status read_address(const OptionValues& options);
  [[nodiscard]] Status read_objects(const OptionValues& options);
  [[nodiscard]] Request put(std::string_view key, Bytes body, const Sha256& hash) const;

  Format format_;
  S3KeyTemplate keys_;
  std::string region_;
  std::string base_url_;  // up to the key, with its slash
  std::vector<Header> headers_;
  std::string batch_suffix_;  // of a batch's object; empty: each record is an object
};

Result<std::unique_ptr<const Exporter>> S3::make(const OptionValues& options) {
  if (Status status = check_required(options, kOptions); !status) return fail(status.error());
  auto keys = S3KeyTemplate::parse(trim_blanks(options.get("path_template")),
                                   trim_blanks(options.get("prefix")));
  if (!keys) return fail(keys.error());
  std::unique_ptr<S3> exporter(new S3(std::move(*keys)));
  if (Status status = exporter->read_address(options); !status) return fail(status.error());
  auto extra = extra_headers(options);
  if (!extra) return fail(extra.error());
  exporter->headers_ = std::move(*extra);

  Format& format = exporter->format_;
  std::vector<std::string_view> dialect_names;
  for (const DialectEntry& entry : dialects()) dialect_names.push_back(entry.name);
  const auto dialect = parse_choice("dialect", options.get("dialect"), dialect_names);
  if (!dialect) return fail(dialect.error());
  format.dialect = find_dialect(*dialect);
  format.encoder = find_encoder("trace_json");
  if (format.encoder == nullptr) return fail("encoding trace_json is not part of this build");
  if (Status status = exporter->read_objects(options); !status) return fail(status.error());
  return std::unique_ptr<const Exporter>(std::move(exporter));
}

Status S3::read_objects(const OptionValues& options) {
  static constexpr std::array<std::string_view, 2> kObjects = {"trace", "batch"};
  const auto objects = parse_choice("objects", options.get("objects"), kObjects);
  if (!objects) return fail(objects.error());
  static constexpr std::array<std::string_view, 3> kCodecs = {"none", "gzip", "zstd"};
  const auto codec = parse_choice("compression", options.get("compression"), kCodecs);
  if (!codec) return fail(codec.error());
  const auto records = parse_number("batch_records_max", options.get("batch_records_max"),
                                    {.min = 1, .max = 1'000'000});
  if (!records) return fail(records.error());
  const auto bytes = parse_bytes("batch_bytes_max", options.get("batch_bytes_max"),
                                 {.min = 64U << 10U, .max = 64U << 20U});
  if (!bytes) return fail(bytes.error());
  if (*objects == "trace") {
    format_.whole_batch = false;
    format_.hash_records = true;
    // Requests of a batch settle together; small batches let one slow object hold back few others.
    format_.limits.batch_records_max = 64;
    return {};
  }
  if (keys_.names_api_key()) {
    return fail("path_template has {apiKeyName}, which an object of many records has not");
  }
  // Readers go by the suffix: no Content-Encoding is stored.
  batch_suffix_ = *codec == "gzip" ? ".jsonl.gz" : *codec == "zstd" ? ".jsonl.zst" : ".jsonl";
  format_.compression = *codec == "gzip"   ? Compression::kGzip
                        : *codec == "zstd" ? Compression::kZstd
                                           : Compression::kNone;
  format_.hash_body = true;
  format_.envelope = Envelope{.prefix = "", .suffix = "\n"};
  format_.limits = {.batch_records_max = static_cast<std::uint32_t>(*records),
                    .batch_spans_max = 1U << 20U,
                    .batch_bytes_max = *bytes};
  return {};
}

// Virtual-host style on AWS; path style elsewhere, and for names with dots, which no certificate
// covers.
Status S3::read_address(const OptionValues& options) {
  const std::string_view endpoint = trim_blanks(options.get("endpoint"));
  const std::string_view bucket = trim_blanks(options.get("bucket"));
  const std::string_view region = trim_blanks(options.get("region"));
  if (!is_bucket_name(bucket, endpoint.empty())) {
    return fail("bucket is not the name of a bucket: 3 to 63 lower-case letters, digits, - and .");
  }
  if (!is_region_name(region)) return fail("region is not the name of a region, e.g. eu-west-1");
  region_ = region;
  if (!endpoint.empty()) {
    auto url = parse_url("endpoint", endpoint);
    if (!url) return fail(url.error());
    if (!url->query.empty())
      return fail("endpoint has a query (?...); give the service's base URL");
    while (url->path.ends_with('/')) url->path.pop_back();
    base_url_ = fmt::format("{}/{}/", url->text(), bucket);
    return {};
  }
  const std::string_view domain = aws_domain(region);
  base_url_ = bucket.find('.') == std::string_view::npos
                  ? fmt::format("https://{}.s3.{}.{}/", bucket, region, domain)
                  : fmt::format("https://s3.{}.{}/{}/", region, domain, bucket);
  return {};
}

Request S3::put(std::string_view key, Bytes body, const Sha256& hash) const {
  Request request;
  request.method = "PUT";
  request.url = base_url_ + uri_encode(key, true);
  request.headers = headers_;
  set_header(request, "content-type", "application/json");
  // authorise() only signs; the body was hashed when it was frozen.
  set_header(request, "x-amz-content-sha256", to_hex(as_bytes(hash)));
  request.body = {body};
  return request;
}

Result<std::vector<Request>> S3::encode(std::shared_ptr<const Batch> batch) const {
  if (!batch_suffix_.empty()) {
    if (!batch->body_hash || batch->body == nullptr) {
      return fail("encode an S3 batch: its body was not hashed");
    }
    std::vector<Request> requests;
    requests.push_back(
        put(keys_.batch_key(batch->records, batch_suffix_), *batch->body, *batch->body_hash));
    set_header(requests.front(), "content-type", "application/x-ndjson");
    requests.front().record_count = batch->records.size();
    requests.front().keep_alive = std::move(batch);
    return requests;
  }
  if (batch->record_hashes.size() != batch->records.size()) {
    return fail("encode an S3 batch: its records were not hashed");
  }
  std::vector<Request> requests;
  requests.reserve(batch->records.size());
  for (std::size_t i = 0; i < batch->records.size(); ++i) {
    const BatchRecord& record = batch->records[i];
    requests.push_back(put(keys_.key(record), record.encoded, batch->record_hashes[i]));
    requests.back().record_first = i;
    requests.back().record_count = 1;
    requests.back().keep_alive = batch;
  }
  return requests;
}

Status S3::authorise(Request& request, const Secrets& secrets, Timestamp now) const {
  return authorise_aws(request, secrets, kOptions, {.region = region_, .service = "s3"}, now);
}

Verdict S3::judge(const Request& request, const Response& response, Timestamp now) const {
  static constexpr std::array<int, 2> kRetried = {408, 500};
  // Overload and clocks, whatever their status.
  static constexpr std::array<std::string_view, 7> kTransient = {
      "SlowDown",           "RequestTimeout",   "RequestTimeTooSkewed",      "InternalError",
      "ServiceUnavailable", "OperationAborted", "ConditionalRequestConflict"};
  // What the operator or the bucket's owner can mend.
  static constexpr std::array<std::string_view, 8> kMendable = {
      "NoSuchBucket", "AccessDenied", "InvalidAccessKeyId",   "SignatureDoesNotMatch",
      "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "AccountProblem"};

  static constexpr std::array<std::string_view, 2> kElsewhere = {"AuthorizationHeaderMalformed",
                                                                 "PermanentRedirect"};
  // What no new try mends; listed to be named.
  static constexpr std::array<std::string_view, 9> kFinal = {
      "EntityTooLarge",  "InvalidArgument",           "InvalidRequest",
      "KeyTooLongError", "XAmzContentSHA256Mismatch", "BadDigest",
      "MalformedXML",    "MethodNotAllowed",          "NotImplemented"};

  const bool is_answer = response.failure == Response::Failure::kNone;
  Verdict verdict;
  if (is_answer && response.status >= 200 && response.status < 300) {
    if (!is_html(response)) return verdict;
    verdict.kind = Verdict::Kind::kPause;
    verdict.explanation = explain(response, "", "check the endpoint: a web page answered");
    verdict.server_text = shown_text(request, server_text(response));
    return verdict;
  }
  verdict = judge_refusal(request, response, now, kRetried);
  if (!is_answer) return verdict;

  const std::string_view code = element_text(response.body, "Code");
  std::string_view region = header_value(response, "x-amz-bucket-region");
  if (region.empty()) region = element_text(response.body, "Region");
  const bool is_elsewhere = is_one_of(code, kElsewhere) || response.status == 301;
  std::string advice;
  if (is_one_of(code, kTransient)) {
    verdict.kind = Verdict::Kind::kRetry;
    verdict.retry_hint = retry_hint(response, now);
    if (code == "RequestTimeTooSkewed") advice = "check this machine's clock";
  } else if (is_elsewhere) {
    verdict.kind = Verdict::Kind::kPause;
    // Named only when it has the form of AWS's: the server could have written anything there.
    advice = is_aws_region(region) && scrub(region, request) == region
                 ? fmt::format("set 'region: {}'", region)
                 : std::string("check region and endpoint");
  } else if (is_one_of(code, kMendable)) {
    verdict.kind = Verdict::Kind::kPause;
    advice = code == "NoSuchBucket" ? "check the bucket's name" : "check the credentials";
  } else if (code == "EntityTooLarge") {
    verdict.kind = Verdict::Kind::kSplit;
    verdict.reason = RejectReason::kTooLarge;
  }
  if (code.empty()) return verdict;
  const bool is_known = is_one_of(code, kElsewhere) || is_one_of(code, kTransient) ||
                        is_one_of(code, kMendable) || is_one_of(code, kFinal);
  verdict.explanation = explain(response, is_known ? code : std::string_view(), advice);
  verdict.server_text =
      shown_text(request, fmt::format("{}: {}", code, element_text(response.body, "Message")));
  return verdict;
}

// Nothing else is allowed by the one permission that is asked for, so the test writes an object:
// the same one each time.
Request S3::probe(Timestamp) const {
  return put(keys_.prefix() + "/.connection-test", kProbeBody, sha256(kProbeBody));
}

}  // namespace

namespace destinations {
const Destination s3{
    .name = "s3",
    .summary = "Amazon S3, and services that speak it (R2, GCS, MinIO, Swift, ...)",
    .options = kOptions,
    .make = &S3::make};
}  // namespace destinations

}  // namespace sidecast
