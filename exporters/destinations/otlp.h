// One exporter for every backend that takes OTLP, over HTTP or gRPC. What differs between them is
// data: an OtlpPreset, which is one row of the tables in presets/.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "exporters/destinations/options.h"
#include "exporters/exporter.h"

namespace sidecast {

// A name and a template of its value (template.h). What has an option in it that was not given is
// left out. Headers whose template names a secret option are added at each attempt, by authorise().
struct OtlpField {
  std::string_view name;
  std::string_view value;
};

// What proves address and credentials at the least cost.
enum class OtlpProbe {
  kEmpty,         // a request without spans: authenticated, then answered, and nothing is stored
  kBareResource,  // where a request without resources is refused: one resource without spans
  kSpan,          // where neither is known to work: one marked span
};

struct OtlpPreset {
  std::string_view name;
  std::string_view summary;
  // Default of the endpoint; may be a template. Empty = the region's, else the user must give one.
  std::string_view endpoint = "";
  std::string_view endpoint_help = "";
  std::span<const OtlpField> regions = {};  // of the option `region`: its value, its base URL
  std::string_view traces_path = "/v1/traces";
  std::span<const Option> options = {};  // beyond the shared ones: credentials, project
  std::span<const OtlpField> headers = {};
  std::span<const OtlpField> resource = {};  // resource attributes
  // Defaults of shared options, as text.
  std::string_view dialect = "generic";
  std::string_view encoding = "otlp_protobuf";
  std::string_view compression = "gzip";
  std::string_view batch_bytes_max = "4MiB";  // uncompressed: reference "destinations-otlp" §2.3
  std::string_view retry_statuses = "";       // retried against the standard
  std::span<const int> pause_statuses = {};   // mean a wrong setting here: batches are kept
  std::string_view pause_advice = "";         // what to do about these
  std::string_view tree = "full";
  std::string_view gen_ai_names = "1.41.1";
  std::string_view flat_metadata = "false";
  // What the backend cuts or refuses in silence; 0 = no bound. See AttributeCaps.
  std::string_view attribute_name_bytes_max = "0";
  std::string_view attribute_bytes_max = "0";
  std::string_view attribute_list_max = "0";
  std::string_view attributes_max = "0";
  // What is known not to be taken is refused before it is sent.
  bool takes_protobuf = true;
  bool takes_json = true;
  bool takes_zstd = true;
  bool takes_grpc = false;
  OtlpProbe probe = OtlpProbe::kSpan;
};

// The options that every preset has besides its own, with the preset's defaults.
inline constexpr std::size_t kSharedOtlpOptions = 21;
[[nodiscard]] constexpr std::array<Option, kSharedOtlpOptions> shared_otlp_options(
    const OtlpPreset& preset) {
  return {{
      {.name = "endpoint",
       .fallback = preset.endpoint,
       .help = preset.regions.empty()
                   ? preset.endpoint_help
                   : "Base URL of a server of your own, instead of the region's.",
       .required = preset.endpoint.empty() && preset.regions.empty()},
      {.name = "traces_path",
       .fallback = preset.traces_path,
       .help = "Appended to an endpoint that does not end in it; / = nothing."},
      {.name = "protocol",
       .fallback = "http",
       .help = preset.takes_grpc
                   ? "http, or grpc: then an endpoint without path such as http://localhost:4317, "
                     "and batches of 3.5MiB unless batch_bytes_max says else."
                   : "http; gRPC is not offered."},
      {.name = "dialect",
       .fallback = preset.dialect,
       .help = "Which attributes the backend reads; `sidecast destinations` lists them."},
      {.name = "encoding",
       .fallback = preset.encoding,
       .help = !preset.takes_json       ? "otlp_protobuf; it takes nothing else."
               : !preset.takes_protobuf ? "otlp_json; it takes nothing else."
                                        : "otlp_protobuf or otlp_json."},
      {.name = "compression",
       .fallback = preset.compression,
       .help = preset.takes_zstd ? "none, gzip or zstd." : "none or gzip; it takes nothing else."},
      {.name = "service_name", .fallback = "sidecast", .help = "Resource attribute service.name."},
      {.name = "resource_attributes",
       .fallback = "",
       .help = "Further resource attributes: key=value,key2=value2."},
      {.name = "retry_statuses",
       .fallback = preset.retry_statuses,
       .help = "HTTP statuses retried though OTLP calls them final, e.g. 408,500.",
       .tuning = true},
      {.name = "always_hash_trace_id",
       .fallback = "false",
       .help = "Hash a caller's trace id even where it is 32 hex digits or a UUID."},
      {.name = "shared_roots",
       .fallback = "false",
       .help = "Requests of one trace share its root and group spans."},
      {.name = "tree",
       .fallback = preset.tree,
       .help = "full: root, group, generation, attempts; openrouter: generation and attempts."},
      {.name = "gen_ai_names",
       .fallback = preset.gen_ai_names,
       .help = "Version of OpenTelemetry's GenAI names: 1.41.1 or development."},
      {.name = "flat_metadata",
       .fallback = preset.flat_metadata,
       .help = "openinference: one attribute metadata.<key> each instead of one JSON text."},
      {.name = "generation_metadata",
       .fallback = "",
       .help = "Opt-in groups of further metadata: cost, identity, request_context."},
      {.name = "attribute_name_bytes_max",
       .fallback = preset.attribute_name_bytes_max,
       .help = "Attributes with longer names are left out; 0 = none."},
      {.name = "attribute_bytes_max",
       .fallback = preset.attribute_bytes_max,
       .help = "Longer texts are cut, with a marker, e.g. 4095; 0 = none."},
      {.name = "attribute_list_max",
       .fallback = preset.attribute_list_max,
       .help = "Longer lists lose their end; 0 = none."},
      {.name = "attributes_max",
       .fallback = preset.attributes_max,
       .help = "Attributes of one span; the last are left out; 0 = no bound."},
      {.name = "batch_records_max",
       .fallback = "512",
       .help = "Records in one request.",
       .tuning = true},
      {.name = "batch_bytes_max",
       .fallback = preset.batch_bytes_max,
       .help = "Uncompressed size of one request, e.g. 4MiB.",
       .tuning = true},
  }};
}

class OtlpExporter final : public Exporter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<const Exporter>> make(const OtlpPreset& preset,
                                                                    const OptionValues& options);

  [[nodiscard]] const Format& format() const noexcept override { return format_; }
  [[nodiscard]] Result<std::vector<Request>> encode(
      std::shared_ptr<const Batch> batch) const override;
  [[nodiscard]] Status authorise(Request& request, const Secrets& secrets,
                                 Timestamp now) const override;
  [[nodiscard]] Verdict judge(const Request& request, const Response& response,
                              Timestamp now) const override;
  [[nodiscard]] Request probe(Timestamp now) const override;

 private:
  explicit OtlpExporter(const OtlpPreset& preset) : preset_(preset) {}

  [[nodiscard]] Result<std::string> base_url(const OptionValues& options) const;
  [[nodiscard]] Status read_protocol(const OptionValues& options);
  [[nodiscard]] Status read_format(const OptionValues& options);
  [[nodiscard]] Status read_limits(const OptionValues& options);
  [[nodiscard]] Status read_dialect_options(const OptionValues& options);
  [[nodiscard]] Status read_caps(const OptionValues& options);
  [[nodiscard]] Status read_resource(const OptionValues& options);
  [[nodiscard]] Status read_url(const OptionValues& options);
  [[nodiscard]] Status read_headers(const OptionValues& options);
  void write_probe_span(Timestamp now, ByteBuffer& out) const;
  [[nodiscard]] bool is_secret(std::string_view option) const noexcept;

  const OtlpPreset& preset_;  // static storage
  bool is_grpc_ = false;
  Format format_;
  std::string url_;
  std::vector<Header> headers_;            // of every request, not secret
  std::vector<OtlpField> secret_headers_;  // templates for authorise()
  // What these templates name besides secrets.
  std::map<std::string, std::string, std::less<>> public_values_;
  std::vector<int> retried_statuses_;
};

// A 2xx of OTLP may still carry rejected spans. Reads the partial success by the answer's content
// type, or the request's when it has none; what cannot be read counts as plain success.
[[nodiscard]] Verdict judge_otlp(const Request& request, const Response& response, Timestamp now,
                                 std::span<const int> retried_statuses);

}  // namespace sidecast
