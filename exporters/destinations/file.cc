// exporters/destinations/file.cc: JSON Lines in a file of this machine, for people who have no
// backend yet: `jq`, or the Collector's otlpjsonfile receiver, reads them later. One line holds one
// record, so that a reader's bound on lines (1 MiB there) is met by whatever is short enough.
#include <array>
#include <charconv>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "exporters/destinations/channel_answer.h"
#include "exporters/registry.h"
#include "exporters/transport/places.h"

namespace sidecast {
namespace {

constexpr Option kOptions[] = {
    {.name = "path",
     .fallback = "",
     .help = "The file, absolute, e.g. /var/log/sidecast/traces.jsonl; its folder must be there.",
     .required = true},
    {.name = "encoding",
     .fallback = "otlp_json",
     .help = "otlp_json (what the Collector's otlpjsonfile receiver reads) or trace_json."},
    {.name = "dialect", .fallback = "generic", .help = "Names of the attributes in otlp_json."},
    {.name = "service_name", .fallback = "sidecast", .help = "Resource attribute service.name."},
    {.name = "rotate_bytes",
     .fallback = "100MiB",
     .help = "A new file is begun before it grows over this size; 0 = never.",
     .tuning = true},
    {.name = "rotate_hours",
     .fallback = "24",
     .help = "A new file is begun, with the next batch, when it is so old; 0 = never.",
     .tuning = true},
    {.name = "keep_files",
     .fallback = "10",
     .help = "Rotated files that are kept; 0 = all.",
     .tuning = true},
    {.name = "rotated_compression",
     .fallback = "gzip",
     .help = "none, gzip or zstd, for rotated files.",
     .tuning = true},
    {.name = "sync",
     .fallback = "never",
     .help = "never, or batch: on the disk before it counts as delivered (fdatasync).",
     .tuning = true},
    {.name = "batch_records_max",
     .fallback = "512",
     .help = "Records written at once.",
     .tuning = true},
    {.name = "batch_bytes_max",
     .fallback = "4MiB",
     .help = "Bytes written at once.",
     .tuning = true},
};
constexpr Limits kLimitsMost{
    .batch_records_max = 10'000, .batch_spans_max = 1U << 20U, .batch_bytes_max = 64U << 20U};
constexpr std::uint64_t kRotateBytesMax = std::uint64_t{1} << 40U;
constexpr std::size_t kPathBytesMax = 4000;  // with a rotated name's ending under Linux' 4096
constexpr std::size_t kNameBytesMax = 200;   // of its last part, the same under 255

// An absolute path to a file, without steps that lead elsewhere than it seems.
Status check_path(std::string_view path) {
  const bool has_controls = std::any_of(path.begin(), path.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (!path.starts_with('/') || path.ends_with('/') || has_controls ||
      path.size() > kPathBytesMax) {
    return fail("path must be absolute and name a file, e.g. /var/log/sidecast/traces.jsonl");
  }
  for (const std::string_view part : split_list(path.substr(1), '/')) {
    if (part == "." || part == "..") return fail("path may not have . or .. in it");
  }
  if (path.size() - path.rfind('/') > kNameBytesMax) {
    return fail(fmt::format("path has a name of more than {} bytes at its end", kNameBytesMax));
  }
  return {};
}

class FileDestination final : public NativeExporter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<const Exporter>> make(const OptionValues& options);

  [[nodiscard]] Result<std::vector<Request>> encode(
      std::shared_ptr<const Batch> batch) const override;
  [[nodiscard]] Status authorise(Request& /*request*/, const Secrets& /*secrets*/,
                                 Timestamp /*now*/) const override {
    return {};
  }
  [[nodiscard]] Verdict judge(const Request& request, const Response& response,
                              Timestamp now) const override {
    return judge_channel(request, response, now);
  }
  [[nodiscard]] Request probe(Timestamp now) const override;

 private:
  [[nodiscard]] Status read_encoding(const OptionValues& options);
  [[nodiscard]] Status read_rotation(const OptionValues& options);
};

Status FileDestination::read_encoding(const OptionValues& options) {
  static constexpr std::array<std::string_view, 2> kEncodings = {"otlp_json", "trace_json"};
  const auto encoding = parse_choice("encoding", options.get("encoding"), kEncodings);
  if (!encoding) return fail(encoding.error());
  const bool is_otlp = *encoding == "otlp_json";
  if (Status status = read_encoder(is_otlp ? "otlp_json_lines" : "trace_json"); !status) {
    return status;
  }
  if (!is_otlp) format_.envelope = {.prefix = "", .suffix = "\n"};
  headers_ = {{"content-type", "application/x-ndjson"},
              {std::string(kFileLineStart),
               is_otlp ? std::string(format_.encoder->prefix) : std::string("{\"")}};
  if (options.headers.empty()) return {};
  return fail("headers: a file takes none");
}

Status FileDestination::read_rotation(const OptionValues& options) {
  const auto bytes = parse_bytes("rotate_bytes", options.get("rotate_bytes"), {0, kRotateBytesMax});
  if (!bytes) return fail(bytes.error());
  const auto hours = parse_number("rotate_hours", options.get("rotate_hours"), {0, 24UL * 3660});
  if (!hours) return fail(hours.error());
  const auto keep = parse_number("keep_files", options.get("keep_files"), {0, 1'000'000});
  if (!keep) return fail(keep.error());
  static constexpr std::array<std::string_view, 3> kCodecs = {"none", "gzip", "zstd"};
  const auto codec =
      parse_choice("rotated_compression", options.get("rotated_compression"), kCodecs);
  if (!codec) return fail(codec.error());
  static constexpr std::array<std::string_view, 2> kSyncs = {"never", "batch"};
  const auto sync = parse_choice("sync", options.get("sync"), kSyncs);
  if (!sync) return fail(sync.error());
  headers_.push_back({std::string(kFileRotateBytes), std::to_string(*bytes)});
  headers_.push_back({std::string(kFileRotateSeconds), std::to_string(*hours * 3600)});
  headers_.push_back({std::string(kFileKeep), std::to_string(*keep)});
  headers_.push_back({std::string(kFileCompression), std::string(*codec)});
  headers_.push_back({std::string(kFileSync), std::string(*sync)});
  return {};
}

Result<std::unique_ptr<const Exporter>> FileDestination::make(const OptionValues& options) {
  if (Status status = check_required(options, kOptions); !status) return fail(status.error());
  auto exporter = std::make_unique<FileDestination>();
  const std::string_view path = options.get("path");
  for (Status status :
       {check_path(path), exporter->read_encoding(options), exporter->read_rotation(options),
        exporter->read_limits(options, kLimitsMost)}) {
    if (!status) return fail(status.error());
  }
  exporter->url_ = std::string(kFileScheme) + std::string(path);
  for (Status status : {read_dialect_by_name(options, exporter->format_),
                        read_service_name(options, exporter->format_)}) {
    if (!status) return fail(status.error());
  }
  return std::unique_ptr<const Exporter>(std::move(exporter));
}

Result<std::vector<Request>> FileDestination::encode(std::shared_ptr<const Batch> batch) const {
  auto requests = NativeExporter::encode(std::move(batch));
  if (requests) requests->front().transport = Transport::kFile;
  return requests;
}

Request FileDestination::probe(Timestamp) const {
  Request request = post();
  request.transport = Transport::kFile;
  return request;
}

}  // namespace

namespace destinations {
const Destination file{.name = "file",
                       .summary = "JSON Lines in a file of this machine, rotated",
                       .options = kOptions,
                       .make = &FileDestination::make,
                       .transport = Transport::kFile};
}  // namespace destinations

}  // namespace sidecast
