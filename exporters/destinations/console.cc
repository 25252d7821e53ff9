// exporters/destinations/console.cc: one readable line per record on the engine's standard output
// or error, to see at once what passes.
#include <array>
#include <memory>
#include <string>

#include "exporters/destinations/channel_answer.h"
#include "exporters/registry.h"
#include "exporters/transport/places.h"

namespace sidecast {
namespace {

constexpr Option kOptions[] = {
    {.name = "stream", .fallback = "stdout", .help = "stdout or stderr, of sidecastd."},
    {.name = "content",
     .fallback = "excerpt",
     .help = "excerpt: the beginning of question and answer, unless privacy_mode removes them; or "
             "none."},
    {.name = "batch_records_max",
     .fallback = "64",
     .help = "Lines written at once.",
     .tuning = true},
    {.name = "batch_bytes_max",
     .fallback = "64KiB",
     .help = "Bytes written at once.",
     .tuning = true},
};
constexpr Limits kLimitsMost{
    .batch_records_max = 10'000, .batch_spans_max = 1U << 20U, .batch_bytes_max = 4U << 20U};

class Console final : public NativeExporter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<const Exporter>> make(const OptionValues& options);

  [[nodiscard]] Result<std::vector<Request>> encode(
      std::shared_ptr<const Batch> batch) const override {
    auto requests = NativeExporter::encode(std::move(batch));
    if (requests) requests->front().transport = Transport::kConsole;
    return requests;
  }
  [[nodiscard]] Status authorise(Request& /*request*/, const Secrets& /*secrets*/,
                                 Timestamp /*now*/) const override {
    return {};
  }
  [[nodiscard]] Verdict judge(const Request& request, const Response& response,
                              Timestamp now) const override {
    return judge_channel(request, response, now);
  }
  [[nodiscard]] Request probe(Timestamp /*now*/) const override {
    Request request = post();
    request.transport = Transport::kConsole;
    return request;
  }
};

Result<std::unique_ptr<const Exporter>> Console::make(const OptionValues& options) {
  auto exporter = std::make_unique<Console>();
  static constexpr std::array<std::string_view, 2> kStreams = {"stdout", "stderr"};
  const auto stream = parse_choice("stream", options.get("stream"), kStreams);
  if (!stream) return fail(stream.error());
  static constexpr std::array<std::string_view, 2> kContents = {"excerpt", "none"};
  const auto content = parse_choice("content", options.get("content"), kContents);
  if (!content) return fail(content.error());
  if (!options.headers.empty()) return fail("headers: a console takes none");
  exporter->url_ = *stream == "stderr" ? kConsoleError : kConsoleOutput;
  exporter->headers_ = {{"content-type", "text/plain"}};
  for (Status status : {exporter->read_encoder(*content == "none" ? "console_line_without_content"
                                                                  : "console_line"),
                        exporter->read_limits(options, kLimitsMost)}) {
    if (!status) return fail(status.error());
  }
  return std::unique_ptr<const Exporter>(std::move(exporter));
}

}  // namespace

namespace destinations {
const Destination console{
    .name = "console",
    .summary = "One readable line per record, on the engine's stdout or stderr",
    .options = kOptions,
    .make = &Console::make,
    .transport = Transport::kConsole};
}  // namespace destinations

}  // namespace sidecast
