// exporters/destinations/datadog.cc: Datadog LLM Observability through its HTTP API, without an
// agent. It takes spans that began within the last 24 hours only. Facts: reference
// "destinations-native" §7.
#include <algorithm>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "engine/base/utf8.h"
#include "exporters/destinations/answer.h"
#include "exporters/destinations/native.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Option kOptions[] = {
    {.name = "api_key",
     .fallback = "",
     .help = "API key of the organisation.",
     .secret = true,
     .required = true},
    {.name = "ml_app",
     .fallback = "",
     .help = "Name of the application, lower case, at most 193 characters.",
     .required = true},
    {.name = "endpoint",
     .fallback = "https://api.datadoghq.com",
     .help = "API of the site: https://api.us5.datadoghq.com, https://api.datadoghq.eu, ..."},
    {.name = "compression",
     .fallback = "none",
     .help = "none or gzip; Datadog's documentation is silent on gzip here."},
    {.name = "batch_records_max",
     .fallback = "500",
     .help = "Records in one request.",
     .tuning = true},
    {.name = "batch_bytes_max",
     .fallback = "5MiB",
     .help = "Uncompressed size of one request.",
     .tuning = true},
};
constexpr Limits kLimitsMost{
    .batch_records_max = 1000, .batch_spans_max = 1000, .batch_bytes_max = 5U << 20U};
constexpr std::string_view kPath = "/api/intake/llm-obs/v1/trace/spans";

class Datadog final : public NativeExporter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<const Exporter>> make(const OptionValues& options);

  [[nodiscard]] Status authorise(Request& request, const Secrets& secrets,
                                 Timestamp) const override {
    if (Status status = check_secrets(secrets, kOptions); !status) return status;
    set_header(request, "dd-api-key", std::string(reveal_secret(secrets, "api_key")));
    return {};
  }
  [[nodiscard]] Verdict judge(const Request& request, const Response& response,
                              Timestamp now) const override {
    return judge_native(request, response, now);
  }
  // An empty list of spans would prove less: that the key is one of the site's is what goes wrong.
  [[nodiscard]] Request probe(Timestamp) const override {
    Request request = post();
    request.method = "GET";
    request.url = url_.substr(0, url_.size() - kPath.size()) + "/api/v1/validate";
    return request;
  }
};

Result<std::unique_ptr<const Exporter>> Datadog::make(const OptionValues& options) {
  if (Status status = check_required(options, kOptions); !status) return fail(status.error());
  auto exporter = std::make_unique<Datadog>();
  const std::string_view ml_app = trim_blanks(options.get("ml_app"));
  const bool is_name = is_valid_utf8(ml_app) && ml_app.size() <= 193 &&
                       std::none_of(ml_app.begin(), ml_app.end(), [](char c) {
                         return (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) < 0x20;
                       });
  if (!is_name) return fail("ml_app must be lower case and have at most 193 characters");
  static constexpr std::string_view kTaken[] = {"dd-api-key"};
  for (Status status :
       {exporter->read_url(options, "endpoint", kPath),
        exporter->read_headers(options, "application/json", kTaken),
        exporter->read_encoder("datadog_spans"), exporter->read_compression(options),
        exporter->read_limits(options, kLimitsMost)}) {
    if (!status) return fail(status.error());
  }
  if (exporter->format_.compression == Compression::kZstd) {
    return fail("compression must be none or gzip");
  }
  exporter->format_.envelope =
      Envelope{.prefix = fmt::format(
                   R"({{"data":{{"type":"span","attributes":{{"ml_app":{},"tags":[{}],"spans":[)",
                   json_string(ml_app), json_string(fmt::format("service:{}", ml_app))),
               .suffix = "]}}}"};
  return std::unique_ptr<const Exporter>(std::move(exporter));
}

}  // namespace

namespace destinations {
const Destination datadog{.name = "datadog",
                          .summary = "Datadog LLM Observability, without an agent",
                          .options = kOptions,
                          .make = &Datadog::make};
}  // namespace destinations

}  // namespace sidecast
