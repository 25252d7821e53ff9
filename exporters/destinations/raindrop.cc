// exporters/destinations/raindrop.cc: events of Raindrop, an array in a request. Facts: reference
// "destinations-native" §11.
#include <memory>
#include <string>

#include <fmt/format.h>

#include "exporters/destinations/native.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Option kOptions[] = {
    {.name = "write_key",
     .fallback = "",
     .help = "Write key of the project.",
     .secret = true,
     .required = true},
    {.name = "endpoint", .fallback = "https://api.raindrop.ai", .help = "Base URL of the API."},
    {.name = "batch_records_max",
     .fallback = "100",
     .help = "Records in one request.",
     .tuning = true},
    {.name = "batch_bytes_max", .fallback = "4MiB", .help = "Size of one request.", .tuning = true},
};
constexpr Limits kLimitsMost{
    .batch_records_max = 1000, .batch_spans_max = 1U << 20U, .batch_bytes_max = 16U << 20U};

class Raindrop final : public NativeExporter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<const Exporter>> make(const OptionValues& options) {
    if (Status status = check_required(options, kOptions); !status) return fail(status.error());
    auto exporter = std::make_unique<Raindrop>();
    static constexpr std::string_view kTaken[] = {"authorization"};
    for (Status status :
         {exporter->read_url(options, "endpoint", "/v1/events/track"),
          exporter->read_headers(options, "application/json", kTaken),
          exporter->read_encoder("raindrop_event"), exporter->read_limits(options, kLimitsMost)}) {
      if (!status) return fail(status.error());
    }
    return std::unique_ptr<const Exporter>(std::move(exporter));
  }

  [[nodiscard]] Status authorise(Request& request, const Secrets& secrets,
                                 Timestamp) const override {
    if (Status status = check_secrets(secrets, kOptions); !status) return status;
    set_header(request, "authorization",
               fmt::format("Bearer {}", reveal_secret(secrets, "write_key")));
    return {};
  }
  [[nodiscard]] Verdict judge(const Request& request, const Response& response,
                              Timestamp now) const override {
    return judge_native(request, response, now);
  }
  // No events.
  [[nodiscard]] Request probe(Timestamp) const override { return post("[]"); }
};

}  // namespace

namespace destinations {
const Destination raindrop{.name = "raindrop",
                           .summary = "Raindrop, which finds what goes wrong in conversations",
                           .options = kOptions,
                           .make = &Raindrop::make};
}  // namespace destinations

}  // namespace sidecast
