// sidecast reload: has the running engine read its config again, and shows what it answered.
#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <signal.h>
#include <simdjson.h>

#include "engine/base/clock.h"
#include "engine/config/difference.h"
#include "engine/ledger/paths.h"
#include "engine/lock.h"
#include "engine/reload_answer.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/ring_place.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

constexpr std::chrono::milliseconds kPoll{10};
constexpr std::size_t kNameBytesMax = 128;
constexpr std::size_t kLineBytesMax = 1000;

struct ReloadOptions {
  RingPlace place;
  double timeout_s = 30;
  bool json = false;
};

std::vector<std::string> texts_of(simdjson::ondemand::document& answer, std::string_view key) {
  std::vector<std::string> texts;
  simdjson::ondemand::array array;
  if (answer.find_field_unordered(key).get_array().get(array) != simdjson::SUCCESS) return texts;
  for (auto item : array) {
    std::string_view text;
    if (item.get_string().get(text) == simdjson::SUCCESS) texts.emplace_back(text);
  }
  return texts;
}

void print_changes(simdjson::ondemand::document& answer, const Style& style) {
  for (const std::string_view kind : kDestinationChanges) {
    for (const std::string& name : texts_of(answer, kind)) {
      fmt::print("  {:<12} {}\n", style.bold(kind), printable(name, kNameBytesMax));
    }
  }
  for (const std::string& key : texts_of(answer, "applied")) {
    fmt::print("  {:<12} {}\n", style.bold("setting"), key);
  }
  for (const std::string& key : texts_of(answer, "needs_restart")) {
    fmt::print("  {:<12} {}: {}\n", style.bold("setting"), key,
               style.warn("changed in the file, needs a restart"));
  }
}

// For people. The exit code says whether the config was taken.
int show(const std::string& json) {
  simdjson::ondemand::parser parser;
  const simdjson::padded_string padded(json);
  simdjson::ondemand::document answer;
  bool is_reloaded = false;
  if (parser.iterate(padded).get(answer) != simdjson::SUCCESS ||
      answer.find_field_unordered("reloaded").get_bool().get(is_reloaded) != simdjson::SUCCESS) {
    print_error("reload: the engine's answer cannot be read; is it of another version?");
    return kExitFailed;
  }
  if (!is_reloaded) {
    for (const std::string& line : texts_of(answer, "errors")) {
      fmt::print(stderr, "{}\n", printable(line, kLineBytesMax));
    }
    print_error("reload: nothing has changed");
    return kExitUsage;
  }
  print_changes(answer, Style(stdout));
  for (const std::string& line : texts_of(answer, "tenant_errors")) {
    fmt::print(stderr, "{}\n", printable(line, kLineBytesMax));
  }
  std::uint64_t unchanged = 0;
  double took_ms = 0;
  std::string_view config;
  if (answer.find_field_unordered("unchanged").get_uint64().get(unchanged) != simdjson::SUCCESS ||
      answer.find_field_unordered("took_ms").get_double().get(took_ms) != simdjson::SUCCESS ||
      answer.find_field_unordered("config").get_string().get(config) != simdjson::SUCCESS) {
    return kExitDone;  // an older engine says less
  }
  fmt::print("{} reloaded in {:.0f} ms; destinations unchanged: {}\n",
             printable(config, kLineBytesMax), took_ms, human_count(unchanged));
  return kExitDone;
}

// As JSON the answer goes out as it came.
int show_json(const std::string& json) {
  fmt::print("{}\n", json);
  return json.find("\"reloaded\":true") != std::string::npos ? kExitDone : kExitUsage;
}

int run_reload(const ReloadOptions& options) {
  const Result<std::string> ring_dir = find_ring_dir(options.place);
  if (!ring_dir) {
    fmt::print(stderr, "{}\n", ring_dir.error().message());
    return kExitUsage;
  }
  const EnginePaths paths(*ring_dir);
  const std::optional<pid_t> holder = lock_holder(paths.lock);
  if (!holder) {
    print_error(fmt::format("reload: no engine serves {}; start sidecastd", *ring_dir));
    return kExitFailed;
  }
  const Result<std::string> id = ask_for_reload(paths);
  if (!id) {
    print_error(
        fmt::format("reload: {}; ask as the engine's user or as root", id.error().message()));
    return kExitFailed;
  }
  // Sooner than it looks by itself.
  if (*holder > 0) kill(*holder, SIGHUP);
  const Instant deadline = monotonic_now() + std::chrono::duration_cast<Instant::duration>(
                                                 std::chrono::duration<double>(options.timeout_s));
  const auto fail_with = [&](const std::string& why) {
    forget_reload(paths, *id);
    print_error("reload: " + why);
    return kExitFailed;
  };
  while (monotonic_now() < deadline) {
    const std::string answer = take_reload_answer(paths, *id);
    if (!answer.empty()) return options.json ? show_json(answer) : show(answer);
    if (!lock_holder(paths.lock)) return fail_with("the engine ended before it answered");
    std::this_thread::sleep_for(kPoll);
  }
  return fail_with(fmt::format(
      "the engine of {} has not answered in {:g} s: it hangs, or is an older one that knows no "
      "reload; see `sidecast stats`",
      *ring_dir, options.timeout_s));
}

}  // namespace

void add_reload(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ReloadOptions>();
  CLI::App* const command = app.add_subcommand(
      "reload",
      "Have the running engine read its config again (and, if there is a destinations_dir, all\n"
      "tenants' files), and show what changed. An invalid file changes nothing: every mistake is\n"
      "shown with line and column, and the exit code is 2.");
  add_ring_place(*command, options->place);
  command->add_option("--timeout", options->timeout_s, "Seconds to wait for the engine's answer")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_flag("--json", options->json, "The answer as one JSON object");
  command->callback([options, &exit_code] { exit_code = run_reload(*options); });
}

}  // namespace sidecast
