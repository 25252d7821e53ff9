// sidecast explain: what became of one generation, trace or session, at each destination, and why.
#include "engine/fates/explain.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "engine/base/utf8.h"
#include "engine/config/config.h"
#include "engine/ledger/snapshot.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/explain_spool.h"
#include "tools/sidecast/explain_text.h"
#include "tools/sidecast/ring_place.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

struct ExplainOptions {
  RingPlace place;
  std::string id;
  std::size_t limit = 20;
  bool json = false;
  bool with_spool = false;
  double spool_seconds = 10;
};

// Where the spool is, as the engine's numbers say, else the config; empty = nobody knows of one.
std::string find_spool(const std::string& ring_dir, const std::string& config_file) {
  const auto stats = read_stats(ring_dir);
  if (stats && !stats->spool.directory.empty()) return stats->spool.directory;
  if (config_file.empty()) return {};
  return load_spool_dir(config_file).value_or(std::string());
}

int run_explain(const ExplainOptions& options) {
  const Result<std::string> ring_dir = find_ring_dir(options.place);
  if (!ring_dir) {
    print_error("explain: " + ring_dir.error().message());
    return kExitUsage;
  }
  if (!is_valid_utf8(options.id)) {
    print_error("explain: the id is not UTF-8");
    return kExitUsage;
  }
  const std::string spool = find_spool(*ring_dir, options.place.config_file);
  auto explanation = fates::explain(*ring_dir, options.id, options.limit);
  if (!explanation) {
    if (spool.empty()) {
      print_error("explain: " + explanation.error().message());
      return kExitFailed;
    }
    const std::string why = "only the spool was searched: " + explanation.error().message();
    explanation = fates::Explanation{};
    explanation->notes.push_back(why);
  }
  if (!spool.empty()) {
    const std::chrono::duration<double> time_max(options.spool_seconds);
    add_spooled(*explanation,
                {.directory = spool,
                 .id = options.id,
                 .records_max = options.limit,
                 .with_bodies = options.with_spool,
                 .time_max = std::chrono::duration_cast<std::chrono::nanoseconds>(time_max)});
  }
  fmt::print("{}", options.json ? explanation_json(*explanation, options.id) + "\n"
                                : explanation_text(*explanation, options.id, Style(stdout)));
  return explanation->records.empty() ? kExitFailed : kExitDone;
}

}  // namespace

void add_explain(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* const command = app.add_subcommand(
      "explain",
      "What became of a record at each destination, and why: when it was read and from which ring, "
      "how it\nwas routed, batched, sent and answered. Answers also when the engine hangs or is "
      "dead; exit 1 when\nnothing is known of the id.");
  command->add_option("ID", options->id, "Generation, trace or session id")->required();
  add_ring_place(*command, options->place);
  command->add_option("--limit", options->limit, "At most so many records, the newest first")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  command->add_flag("--spool", options->with_spool,
                    "Look for a session in every batch on disk too, though something is known of "
                    "it already");
  command
      ->add_option("--spool-seconds", options->spool_seconds,
                   "Search what waits on disk for so long at most")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 86'400.0));
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([options, &exit_code] { exit_code = run_explain(*options); });
}

}  // namespace sidecast
