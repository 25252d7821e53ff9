// sidecast explain: what became of one generation, trace or session, at each destination, and why.
#include "engine/fates/explain.h"

#include <cstddef>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "engine/base/utf8.h"
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
};

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
  auto explanation = fates::explain(*ring_dir, options.id, options.limit);
  if (!explanation) {
    print_error("explain: " + explanation.error().message());
    return kExitFailed;
  }
  if (explanation->records.empty()) {
    const auto stats = read_stats(*ring_dir);
    if (stats && !stats->spool.directory.empty()) {
      add_spooled(*explanation, stats->spool.directory, options.id, options.limit);
    }
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
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([options, &exit_code] { exit_code = run_explain(*options); });
}

}  // namespace sidecast
