// exporters/destinations/posthog.cc: events of PostHog's LLM analytics through its capture API. The
// project key stands in the body, in front of the events, and is put there at each attempt. A 200
// does not mean that an event was stored: events are checked before they leave, not after. Facts:
// reference "destinations-native" §8.
#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "exporters/compress/glue.h"
#include "exporters/destinations/answer.h"
#include "exporters/destinations/native.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Option kOptions[] = {
    {.name = "api_key",
     .fallback = "",
     .help = "Project API key (phc_...).",
     .secret = true,
     .required = true},
    {.name = "endpoint",
     .fallback = "https://us.i.posthog.com",
     .help = "Ingestion host: https://eu.i.posthog.com, or that of your own."},
    {.name = "path",
     .fallback = "/batch/",
     .help = "Capture path; /i/v0/ai/batch/ is PostHog's beta for larger events."},
    {.name = "events",
     .fallback = "generation",
     .help = "generation: one event a record; tree: named levels and attempts as well."},
    {.name = "compression", .fallback = "gzip", .help = "none or gzip."},
    {.name = "batch_records_max",
     .fallback = "1000",
     .help = "Records in one request.",
     .tuning = true},
    {.name = "batch_bytes_max",
     .fallback = "5MiB",
     .help = "Uncompressed size of one request; PostHog takes 20 MB.",
     .tuning = true},
};
constexpr Limits kLimitsMost{
    .batch_records_max = 10'000, .batch_spans_max = 1U << 20U, .batch_bytes_max = 16U << 20U};
constexpr std::string_view kKeyMember = R"({"api_key":)";

std::string head_of(std::string_view key) {
  return fmt::format(R"({}{},"batch":[)", kKeyMember, json_string(key));
}

// What an authorised request keeps alive besides its batch.
struct Authorised {
  std::shared_ptr<const void> batch;
  std::string head;
  std::string tail;
};

class PostHog final : public NativeExporter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<const Exporter>> make(const OptionValues& options);

  [[nodiscard]] Result<std::vector<Request>> encode(
      std::shared_ptr<const Batch> batch) const override;
  [[nodiscard]] Status authorise(Request& request, const Secrets& secrets,
                                 Timestamp now) const override;
  [[nodiscard]] Verdict judge(const Request& request, const Response& response,
                              Timestamp now) const override;
  [[nodiscard]] Request probe(Timestamp now) const override;
};

Result<std::unique_ptr<const Exporter>> PostHog::make(const OptionValues& options) {
  if (Status status = check_required(options, kOptions); !status) return fail(status.error());
  auto exporter = std::make_unique<PostHog>();
  static constexpr std::array<std::string_view, 2> kEvents = {"generation", "tree"};
  const auto events = parse_choice("events", options.get("events"), kEvents);
  if (!events) return fail(events.error());
  const std::string_view path = trim_blanks(options.get("path"));
  if (!path.starts_with('/')) return fail("path must begin with /, e.g. /batch/");
  if (!parse_url("path", fmt::format("https://host{}", path)) || path.size() > 200 ||
      path.find('?') != std::string_view::npos) {
    return fail("path holds a character that no path has");
  }
  for (Status status :
       {exporter->read_url(options, "endpoint", path),
        exporter->read_headers(options, "application/json"),
        exporter->read_encoder(*events == "tree" ? "posthog_tree" : "posthog_event"),
        exporter->read_compression(options), exporter->read_limits(options, kLimitsMost)}) {
    if (!status) return fail(status.error());
  }
  if (exporter->format_.compression == Compression::kZstd) {
    return fail("compression must be none or gzip: PostHog takes no zstd");
  }
  return std::unique_ptr<const Exporter>(std::move(exporter));
}

// Body and keep_alive are those of NativeExporter; authorise() puts the key in front.
Result<std::vector<Request>> PostHog::encode(std::shared_ptr<const Batch> batch) const {
  return NativeExporter::encode(std::move(batch));
}

Status PostHog::authorise(Request& request, const Secrets& secrets, Timestamp) const {
  if (Status status = check_secrets(secrets, kOptions); !status) return status;
  // Every request of ours keeps its batch alive and points to it, also after this has run before.
  const auto* const batch = static_cast<const Batch*>(request.keep_alive.get());
  auto kept = std::make_shared<Authorised>();
  kept->batch = request.keep_alive;
  kept->head = head_of(reveal_secret(secrets, "api_key"));
  const Bytes frozen = *batch->body;
  if (batch->content_encoding.empty()) {
    request.body = {kept->head, frozen};
  } else {
    GluedGzip glued;
    if (!glue_gzip(kept->head, frozen, glued)) return fail("api_key is longer than a key can be");
    kept->head = std::move(glued.head);
    kept->tail = std::move(glued.tail);
    request.body = {kept->head, glued.middle, kept->tail};
  }
  request.keep_alive = std::shared_ptr<const void>(kept, batch);
  return {};
}

Verdict PostHog::judge(const Request& request, const Response& response, Timestamp now) const {
  // The key stands in the body: shown to the scrubber as a header, so that no words of the server
  // bring it back.
  Request shown = request;
  if (!request.body.empty()) {
    const Bytes head = request.body.front();
    const std::size_t at = head.find(kKeyMember);
    if (at != Bytes::npos) {
      Bytes key = head.substr(at + kKeyMember.size() + 1);
      key = key.substr(0, key.find("\",\"batch\":["));
      set_header(shown, "authorization", std::string(key));
    }
  }
  return judge_native(shown, response, now);
}

// Nothing proves a key but an event: one that is marked, and always the same.
Request PostHog::probe(Timestamp now) const {
  Arena arena(16U << 10U);
  Trace trace(arena);
  trace.is_explicit_span = true;
  trace.kind = TraceKind::kChain;
  trace.name = "sidecast-connection-test";
  trace.identity.generation_id = trace.name;
  trace.trace_id = hash_trace_id(trace.name);
  trace.start = trace.end = now;
  ByteBuffer bytes;
  format_.encoder->write(trace, format_.dialect->write(trace, format_.dialect_options, arena),
                         bytes);
  bytes.append(format_.suffix());
  auto batch = std::make_shared<Batch>();
  batch->body = std::make_shared<const std::string>(bytes.view());
  Request request = post();
  request.body = {*batch->body};
  request.keep_alive = std::shared_ptr<const Batch>(std::move(batch));
  return request;
}

}  // namespace

namespace destinations {
const Destination posthog{.name = "posthog",
                          .summary = "PostHog's LLM analytics",
                          .options = kOptions,
                          .make = &PostHog::make};
}  // namespace destinations

}  // namespace sidecast
