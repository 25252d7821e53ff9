// sidecast stats: the engine's numbers, read from shared memory, so that they answer when the
// engine hangs or is dead.
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "engine/ledger/snapshot.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/ring_place.h"
#include "tools/sidecast/stats_text.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

struct StatsOptions {
  RingPlace place;
  double watch_s = 0;  // 0 = once
  bool check = false;
  bool json = false;
};

// Figures that move while they are read do not add up, so what seems broken is read again.
Result<StatsSnapshot> read_to_show(const std::string& ring_dir, bool check) {
  constexpr int kReadsMax = 20;
  constexpr std::chrono::milliseconds kPause{20};
  for (int reads = 1;; ++reads) {
    Result<StatsSnapshot> stats = read_stats(ring_dir);
    if (!stats || !check || reads == kReadsMax || check_identities(*stats).empty()) return stats;
    std::this_thread::sleep_for(kPause);
  }
}

// Prints one snapshot; the exit code says whether it could be read and, with --check, is sound.
int show(const std::string& ring_dir, const StatsOptions& options, const Style& style) {
  const Result<StatsSnapshot> stats = read_to_show(ring_dir, options.check);
  if (!stats) {
    print_error("stats: " + stats.error().message());
    return kExitFailed;
  }
  fmt::print("{}", options.json ? stats_json(*stats) + "\n" : stats_tables(*stats, style));
  std::fflush(stdout);
  if (!options.check) return kExitDone;
  const std::vector<std::string> broken = check_identities(*stats);
  for (const std::string& identity : broken) print_error("stats: broken identity: " + identity);
  if (stats->engine.ledger_mismatches > 0) {
    print_error(fmt::format("stats: the engine itself found broken identities {} times",
                            human_count(stats->engine.ledger_mismatches)));
  }
  return broken.empty() && stats->engine.ledger_mismatches == 0 ? kExitDone : kExitFailed;
}

int run_stats(const StatsOptions& options) {
  const Result<std::string> ring_dir = find_ring_dir(options.place);
  if (!ring_dir) {
    print_error("stats: " + ring_dir.error().message());
    return kExitUsage;
  }
  const Style style(stdout);
  if (options.watch_s == 0) return show(*ring_dir, options, style);
  const bool clear_screen = !options.json && isatty(STDOUT_FILENO) == 1;
  for (;;) {  // until the user or a closed pipe ends it
    if (clear_screen) fmt::print("\x1b[H\x1b[2J");
    const int exit_code = show(*ring_dir, options, style);
    if (options.check && exit_code != kExitDone) return exit_code;
    if (std::ferror(stdout) != 0) return kExitDone;
    std::this_thread::sleep_for(std::chrono::duration<double>(options.watch_s));
  }
}

}  // namespace

void add_stats(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<StatsOptions>();
  CLI::App* const command = app.add_subcommand(
      "stats",
      "Show the engine, its records, rings and destinations: every record has exactly one fate "
      "per\n"
      "destination, and the sums are exact. Answers also when the engine hangs or is dead.");
  add_ring_place(*command, options->place);
  command
      ->add_option("--watch", options->watch_s, "Again every so many seconds, 2 if none are given")
      ->expected(0, 1)
      ->default_str("2")
      ->check(CLI::PositiveNumber);
  command->add_flag("--check", options->check,
                    "Exit 1 when an identity is broken, however often it is read");
  command->add_flag("--json", options->json, "One JSON object a line");
  command->callback([options, &exit_code] { exit_code = run_stats(*options); });
}

}  // namespace sidecast
