// sidecast traces: what a sink has received, as trees for people. Only shape and numbers are shown
// unless content is asked for.
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <simdjson.h>

#include "engine/base/bytes.h"
#include "engine/base/json_writer.h"
#include "engine/base/result.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kContentBytesMax = 160;
constexpr std::size_t kSpansShownMax = 12;  // of one trace: a longer tree says no more

// What a line of a sink file says, as far as a tree shows it.
struct SpanSummary {
  std::string span_id;
  std::string parent_span_id;
  std::string name;
  std::string model;
  std::string input;  // content: the beginning, and only when asked for
  std::string output;
  std::uint64_t start_ns = 0;
  std::uint64_t end_ns = 0;
  std::int64_t input_tokens = -1;  // -1 = not told
  std::int64_t output_tokens = -1;
  double cost_usd = -1;
  bool failed = false;
};

struct TraceSummary {
  std::string trace_id;
  std::vector<SpanSummary> spans;  // distinct, in the order of arrival
};

struct Totals {
  std::uint64_t lines = 0;
  std::uint64_t repeats = 0;  // lines with the ids of an earlier one: sent again by a retry
  std::uint64_t spans = 0;
  std::uint64_t failed = 0;
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
  double cost_usd = 0;
};

struct SinkFile {
  std::vector<TraceSummary> traces;  // in the order of arrival
  Totals totals;
};

using Names = std::initializer_list<std::string_view>;

// The first attribute of these names that is there, whatever dialect wrote it.
template <typename Value>
Value first_of(const dom::object& attributes, Names names, Value fallback) {
  for (const std::string_view name : names) {
    Value value{};
    if (attributes.at_key(name).get(value) == simdjson::SUCCESS) return value;
  }
  return fallback;
}

std::string_view text_of(const dom::object& object, std::string_view name) {
  std::string_view text;
  return object.at_key(name).get(text) == simdjson::SUCCESS ? text : std::string_view();
}

std::uint64_t number_of(const dom::object& object, std::string_view name) {
  std::uint64_t number = 0;
  return object.at_key(name).get(number) == simdjson::SUCCESS ? number : 0;
}

SpanSummary summarise(const dom::object& line, bool show_content) {
  SpanSummary span;
  span.span_id = text_of(line, "spanId");
  span.parent_span_id = text_of(line, "parentSpanId");
  span.name = text_of(line, "name");
  span.start_ns = number_of(line, "startTimeUnixNano");
  span.end_ns = number_of(line, "endTimeUnixNano");
  std::int64_t status = 0;
  if (line.at_key("status").at_key("code").get(status) == simdjson::SUCCESS)
    span.failed = status == 2;
  dom::object attributes;
  if (line.at_key("attributes").get(attributes) != simdjson::SUCCESS) return span;
  span.model = first_of<std::string_view>(
      attributes,
      {"gen_ai.response.model", "llm.model_name", "gen_ai.request.model", "embedding.model_name"},
      {});
  span.input_tokens = first_of<std::int64_t>(
      attributes,
      {"gen_ai.usage.input_tokens", "llm.token_count.prompt", "gen_ai.usage.prompt_tokens"}, -1);
  span.output_tokens =
      first_of<std::int64_t>(attributes,
                             {"gen_ai.usage.output_tokens", "llm.token_count.completion",
                              "gen_ai.usage.completion_tokens"},
                             -1);
  span.cost_usd = first_of<double>(
      attributes, {"gen_ai.usage.total_cost", "llm.cost.total", "gen_ai.usage.cost"}, -1);
  if (show_content) {
    span.input =
        printable(first_of<std::string_view>(
                      attributes, {"input.value", "gen_ai.input.messages", "gen_ai.prompt"}, {}),
                  kContentBytesMax);
    span.output = printable(
        first_of<std::string_view>(
            attributes, {"output.value", "gen_ai.output.messages", "gen_ai.completion"}, {}),
        kContentBytesMax);
  }
  return span;
}

void add_up(const SpanSummary& span, Totals& totals) {
  ++totals.spans;
  totals.failed += span.failed ? 1 : 0;
  totals.input_tokens += std::max<std::int64_t>(0, span.input_tokens);
  totals.output_tokens += std::max<std::int64_t>(0, span.output_tokens);
  totals.cost_usd += std::max(0.0, span.cost_usd);
}

Result<SinkFile> read_sink_file(const std::string& path, bool show_content) {
  std::ifstream stream(path);
  if (!stream) return fail("open " + path + ": cannot be read");
  SinkFile file;
  std::unordered_map<std::string, std::size_t> places;  // trace id -> index in file.traces
  std::unordered_set<std::string> seen;                 // trace id and span id
  dom::parser parser;
  std::string line;
  while (std::getline(stream, line)) {
    if (stream.eof()) break;  // a torn last line: its sender was not answered
    ++file.totals.lines;
    dom::object object;
    if (parser.parse(line).get(object) != simdjson::SUCCESS) {
      return fail(fmt::format("{}:{}: is not a line of a sink", path, file.totals.lines));
    }
    std::string trace_id(text_of(object, "traceId"));
    if (!seen.insert(trace_id + std::string(text_of(object, "spanId"))).second) {
      ++file.totals.repeats;
      continue;
    }
    const auto [place, is_new] = places.try_emplace(trace_id, file.traces.size());
    if (is_new) file.traces.push_back({std::move(trace_id), {}});
    SpanSummary span = summarise(object, show_content);
    add_up(span, file.totals);
    file.traces[place->second].spans.push_back(std::move(span));
  }
  return file;
}

// Prints one trace, parents before children, siblings by start time.
class Tree {
 public:
  Tree(const TraceSummary& trace, const Style& style) : style_(style), total_(trace.spans.size()) {
    std::unordered_set<std::string_view> ids;
    for (const SpanSummary& span : trace.spans) ids.insert(span.span_id);
    for (const SpanSummary& span : trace.spans) {
      // A parent that has not arrived makes a root of its child.
      const bool has_parent =
          ids.contains(span.parent_span_id) && span.parent_span_id != span.span_id;
      children_[has_parent ? std::string_view(span.parent_span_id) : std::string_view()].push_back(
          &span);
    }
    for (auto& [parent, spans] : children_) {
      std::stable_sort(spans.begin(), spans.end(),
                       [](const auto* a, const auto* b) { return a->start_ns < b->start_ns; });
    }
  }

  void print() {
    print_children({}, "  ");
    if (shown_ < total_) fmt::print("  … {} more\n", human_count(total_ - shown_, "span"));
  }

 private:
  void print_children(std::string_view parent, const std::string& indent) {
    const auto found = children_.find(parent);
    if (found == children_.end() || indent.size() > kIndentMax) return;
    for (const SpanSummary* span : found->second) {
      if (shown_ == kSpansShownMax) return;
      ++shown_;
      const bool is_last = span == found->second.back();
      print_span(*span, indent + (is_last ? "└─ " : "├─ "));
      const std::string below = indent + (is_last ? "   " : "│  ");
      print_content("in ", span->input, below);
      print_content("out", span->output, below);
      print_children(span->span_id, below);
    }
  }

  void print_span(const SpanSummary& span, const std::string& indent) const {
    const double seconds =
        static_cast<double>(span.end_ns - std::min(span.start_ns, span.end_ns)) / 1e9;
    std::string line = indent + style_.bold(printable(span.name, 60));
    if (!span.model.empty() && span.name.find(span.model) == std::string::npos) {
      line += "  " + printable(span.model, 60);
    }
    if (span.input_tokens >= 0 || span.output_tokens >= 0) {
      const auto count = [](std::int64_t tokens) {
        return tokens < 0 ? std::string("?") : human_count(static_cast<std::uint64_t>(tokens));
      };
      line += fmt::format("  {} -> {} tokens", count(span.input_tokens), count(span.output_tokens));
    }
    if (span.cost_usd >= 0) line += fmt::format("  ${:.6f}", span.cost_usd);
    line += "  " + style_.dim(human_seconds(seconds));
    if (span.failed) line += "  " + style_.bad("failed");
    fmt::print("{}\n", line);
  }

  void print_content(std::string_view label, const std::string& text,
                     const std::string& indent) const {
    if (!text.empty()) fmt::print("{}   {} {}\n", indent, style_.dim(label), text);
  }

  static constexpr std::size_t kIndentMax = 200;  // a ring of parents must end somewhere

  std::unordered_map<std::string_view, std::vector<const SpanSummary*>> children_;
  const Style& style_;
  const std::size_t total_;
  std::size_t shown_ = 0;
};

void print_totals(const SinkFile& file) {
  const Totals& totals = file.totals;
  fmt::print("{} in {}, {} -> {} tokens", human_count(totals.spans, "span"),
             human_count(file.traces.size(), "trace"),
             human_count(static_cast<std::uint64_t>(totals.input_tokens)),
             human_count(static_cast<std::uint64_t>(totals.output_tokens)));
  if (totals.cost_usd > 0) fmt::print(", ${:.4f}", totals.cost_usd);
  if (totals.failed > 0) fmt::print(", {} failed", human_count(totals.failed));
  if (totals.repeats > 0) fmt::print(", {} sent again", human_count(totals.repeats));
  fmt::print("\n");
}

void print_totals_json(const SinkFile& file) {
  ByteBuffer buffer;
  JsonWriter json(buffer);
  json.begin_object();
  json.key("lines").unsigned_integer(file.totals.lines);
  json.key("spans").unsigned_integer(file.totals.spans);
  json.key("repeats").unsigned_integer(file.totals.repeats);
  json.key("traces").unsigned_integer(file.traces.size());
  json.key("failed").unsigned_integer(file.totals.failed);
  json.key("input_tokens").integer(file.totals.input_tokens);
  json.key("output_tokens").integer(file.totals.output_tokens);
  json.key("cost_usd").number(file.totals.cost_usd);
  json.end_object();
  fmt::print("{}\n", buffer.view());
}

struct TracesOptions {
  std::string file;
  std::size_t count = 3;
  bool show_content = false;
  bool json = false;
};

int run_traces(const TracesOptions& options) {
  auto file = read_sink_file(options.file, options.show_content);
  if (!file) {
    print_error("traces: " + file.error().message());
    return kExitFailed;
  }
  if (options.json) {
    print_totals_json(*file);
    return kExitDone;
  }
  print_totals(*file);
  // The most telling first: the largest that can be shown whole, then those that cannot.
  std::vector<TraceSummary>& traces = file->traces;
  std::stable_sort(traces.begin(), traces.end(), [](const auto& a, const auto& b) {
    const bool a_fits = a.spans.size() <= kSpansShownMax;
    const bool b_fits = b.spans.size() <= kSpansShownMax;
    return a_fits != b_fits ? a_fits : a.spans.size() > b.spans.size();
  });
  const Style style(stdout);
  for (std::size_t i = 0; i < std::min(options.count, traces.size()); ++i) {
    fmt::print("\ntrace {}\n", style.dim(traces[i].trace_id));
    Tree(traces[i], style).print();
  }
  return kExitDone;
}

}  // namespace

void add_traces(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<TracesOptions>();
  CLI::App* const command = app.add_subcommand(
      "traces",
      "Show what a sink has written: totals, and a few traces as trees with model, tokens, cost\n"
      "and latency. Spans sent again by a retry count once.");
  command->add_option("FILE", options->file, "JSON Lines of 'sidecast sink --out'")
      ->required()
      ->check(CLI::ExistingFile);
  command
      ->add_option("-n,--count", options->count,
                   "How many traces; the largest that fit a screen first")
      ->capture_default_str();
  command->add_flag("--show-content", options->show_content,
                    "Show the beginning of inputs and outputs too");
  command->add_flag("--json", options->json, "The totals only, as JSON");
  command->callback([options, &exit_code] { exit_code = run_traces(*options); });
}

}  // namespace sidecast
