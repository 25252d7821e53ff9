// exporters/destinations/webhook.cc: OTLP JSON to any URL, one record in a request unless told
// otherwise. Facts: reference "destinations-native" §10.
#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "engine/base/utf8.h"
#include "exporters/destinations/native.h"
#include "exporters/destinations/otlp.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Option kOptions[] = {
    {.name = "endpoint",
     .fallback = "",
     .help = "URL that takes the requests, used as it stands.",
     .required = true},
    {.name = "authorization",
     .fallback = "",
     .help = "Value of the Authorization header, e.g. Bearer ....",
     .secret = true},
    {.name = "method", .fallback = "POST", .help = "POST or PUT."},
    {.name = "dialect", .fallback = "generic", .help = "Names of the attributes."},
    {.name = "compression", .fallback = "none", .help = "none, gzip or zstd."},
    {.name = "service_name", .fallback = "sidecast", .help = "Resource attribute service.name."},
    {.name = "batch_records_max",
     .fallback = "1",
     .help = "Records in one request.",
     .tuning = true},
    {.name = "batch_bytes_max",
     .fallback = "4MiB",
     .help = "Uncompressed size of one request.",
     .tuning = true},
};
constexpr Limits kLimitsMost{
    .batch_records_max = 10'000, .batch_spans_max = 1U << 20U, .batch_bytes_max = 64U << 20U};
constexpr std::string_view kTestHeader = "x-test-connection";

class Webhook final : public NativeExporter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<const Exporter>> make(const OptionValues& options);

  [[nodiscard]] Result<std::vector<Request>> encode(
      std::shared_ptr<const Batch> batch) const override;
  [[nodiscard]] Status authorise(Request& request, const Secrets& secrets,
                                 Timestamp now) const override;
  [[nodiscard]] Verdict judge(const Request& request, const Response& response,
                              Timestamp now) const override;
  [[nodiscard]] Request probe(Timestamp now) const override;

 private:
  std::string method_;
};

Result<std::unique_ptr<const Exporter>> Webhook::make(const OptionValues& options) {
  if (Status status = check_required(options, kOptions); !status) return fail(status.error());
  auto exporter = std::make_unique<Webhook>();
  auto url = parse_url("endpoint", options.get("endpoint"));
  if (!url) return fail(url.error());
  if (url->path.empty()) url->path = "/";
  exporter->url_ = url->text();
  static constexpr std::array<std::string_view, 2> kMethods = {"POST", "PUT"};
  const auto method = parse_choice("method", options.get("method"), kMethods);
  if (!method) return fail(method.error());
  exporter->method_ = *method;
  static constexpr std::string_view kTaken[] = {kTestHeader};
  for (Status status :
       {exporter->read_encoder("otlp_json"),
        exporter->read_headers(options, "application/json", kTaken),
        exporter->read_compression(options), exporter->read_limits(options, kLimitsMost)}) {
    if (!status) return fail(status.error());
  }
  std::vector<std::string_view> dialect_names;
  for (const DialectEntry& entry : dialects()) dialect_names.push_back(entry.name);
  const auto dialect = parse_choice("dialect", options.get("dialect"), dialect_names);
  if (!dialect) return fail(dialect.error());
  exporter->format_.dialect = find_dialect(*dialect);
  const std::string_view name = trim_blanks(options.get("service_name"));
  if (!is_valid_utf8(name)) return fail("service_name is not UTF-8");
  if (!name.empty()) {
    exporter->format_.dialect_options.resource = {{"service.name", std::string(name)}};
  }
  return std::unique_ptr<const Exporter>(std::move(exporter));
}

Result<std::vector<Request>> Webhook::encode(std::shared_ptr<const Batch> batch) const {
  auto requests = NativeExporter::encode(std::move(batch));
  if (requests) requests->front().method = method_;
  return requests;
}

Status Webhook::authorise(Request& request, const Secrets& secrets, Timestamp) const {
  if (Status status = check_secrets(secrets, kOptions); !status) return status;
  const std::string_view value = reveal_secret(secrets, "authorization");
  if (!value.empty()) set_header(request, "authorization", std::string(value));
  return {};
}

Verdict Webhook::judge(const Request& request, const Response& response, Timestamp now) const {
  const bool is_test = std::any_of(request.headers.begin(), request.headers.end(),
                                   [](const Header& header) { return header.name == kTestHeader; });
  // A receiver may well say that an empty request is wrong: it has read it.
  if (is_test && response.failure == Response::Failure::kNone && response.status == 400) return {};
  return judge_otlp(request, response, now, kTransientStatuses);
}

Request Webhook::probe(Timestamp) const {
  Request request = post(R"({"resourceSpans":[]})");
  request.method = method_;
  set_header(request, kTestHeader, "true");
  return request;
}

}  // namespace

namespace destinations {
const Destination webhook{.name = "webhook",
                          .summary = "OTLP JSON to any URL, one request for each record",
                          .options = kOptions,
                          .make = &Webhook::make};
}  // namespace destinations

}  // namespace sidecast
