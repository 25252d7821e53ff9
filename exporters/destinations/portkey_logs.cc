// exporters/destinations/portkey_logs.cc: logs of Portkey by its own API, an array in a request:
// the request and the response as they were, for replay and prices. By OTLP there is `portkey`.
// Facts: reference "destinations-native" §14.2.
#include <memory>
#include <string>

#include "exporters/destinations/answer.h"
#include "exporters/destinations/native.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Option kOptions[] = {
    {.name = "api_key",
     .fallback = "",
     .help = "API key of the workspace; it needs the right to write logs.",
     .secret = true,
     .required = true},
    {.name = "endpoint",
     .fallback = "https://api.portkey.ai",
     .help = "Base URL of the API, or of a gateway of your own."},
    {.name = "batch_records_max",
     .fallback = "50",
     .help = "Logs in one request; Portkey publishes no limit.",
     .tuning = true},
    {.name = "batch_bytes_max",
     .fallback = "1MiB",
     .help = "Size of one request; Portkey publishes no limit.",
     .tuning = true},
};
// No limit is published. The defaults are what many web servers take unless told otherwise (1 MiB);
// a refusal for size halves the batch.
constexpr Limits kLimitsMost{
    .batch_records_max = 1000, .batch_spans_max = 1U << 20U, .batch_bytes_max = 16U << 20U};

class PortkeyLogs final : public NativeExporter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<const Exporter>> make(const OptionValues& options) {
    if (Status status = check_required(options, kOptions); !status) return fail(status.error());
    auto exporter = std::make_unique<PortkeyLogs>();
    static constexpr std::string_view kTaken[] = {"x-portkey-api-key"};
    for (Status status :
         {exporter->read_url(options, "endpoint", "/v1/logs"),
          exporter->read_headers(options, "application/json", kTaken),
          exporter->read_encoder("portkey_log"), exporter->read_limits(options, kLimitsMost)}) {
      if (!status) return fail(status.error());
    }
    return std::unique_ptr<const Exporter>(std::move(exporter));
  }

  [[nodiscard]] Status authorise(Request& request, const Secrets& secrets,
                                 Timestamp) const override {
    if (Status status = check_secrets(secrets, kOptions); !status) return status;
    set_header(request, "x-portkey-api-key", std::string(reveal_secret(secrets, "api_key")));
    return {};
  }
  // Whether it minds that the test's array is empty is not published; it has taken the key then.
  [[nodiscard]] Verdict judge(const Request& request, const Response& response,
                              Timestamp now) const override {
    const bool is_probe = request.record_count == 0;
    if (is_probe && response.failure == Response::Failure::kNone && response.status == 400 &&
        !is_html(response)) {
      return {};
    }
    return judge_native(request, response, now);
  }
  // No logs.
  [[nodiscard]] Request probe(Timestamp) const override { return post("[]"); }
};

}  // namespace

namespace destinations {
const Destination portkey_logs{.name = "portkey-logs",
                               .summary = "Portkey by its own log API, with replay and prices",
                               .options = kOptions,
                               .make = &PortkeyLogs::make};
}  // namespace destinations

}  // namespace sidecast
