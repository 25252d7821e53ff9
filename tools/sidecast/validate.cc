// sidecast validate: what is wrong with a config, or what it does, without sending anything.
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/base/json_writer.h"
#include "engine/config/config.h"
#include "engine/config/tenants.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

struct ValidateOptions {
  std::string path;
  bool json = false;
};

void write_problems(JsonWriter& json, Text key, const std::vector<ConfigProblem>& problems) {
  json.key(key).begin_array();
  for (const ConfigProblem& problem : problems) {
    json.begin_object();
    json.key("line").unsigned_integer(problem.position.line);
    json.key("column").unsigned_integer(problem.position.column);
    json.key("message").string(problem.message);
    json.end_object();
  }
  json.end_array();
}

void write_destination(JsonWriter& json, const DestinationConfig& destination) {
  json.begin_object();
  json.key("name").string(destination.name);
  json.key("type").string(destination.type->name);
  json.key("enabled").boolean(destination.enabled);
  json.key("accounts").begin_array();
  for (const std::string& account : destination.accounts) json.string(account);
  json.end_array();
  json.key("sampling_rate").number(destination.sampling_rate);
  json.key("privacy_mode").boolean(destination.privacy_mode);
  json.key("group").string(destination.group);
  json.key("identity").string(destination.identity);
  json.end_object();
}

void print_json(const std::string& path, const ConfigReport& report,
                const std::vector<std::string>& tenant_errors) {
  ByteBuffer out;
  JsonWriter json(out);
  json.begin_object();
  json.key("file").string(path);
  json.key("valid").boolean(report.config.has_value() && tenant_errors.empty());
  write_problems(json, "errors", report.errors);
  write_problems(json, "warnings", report.warnings);
  json.key("tenant_errors").begin_array();
  for (const std::string& line : tenant_errors) json.string(line);
  json.end_array();
  json.key("destinations").begin_array();
  if (report.config) {
    for (const auto& destination : report.config->destinations)
      write_destination(json, destination);
  }
  json.end_array();
  json.end_object();
  out.push_back('\n');
  std::fwrite(out.view().data(), 1, out.size(), stdout);
}

// FILE:LINE:COLUMN: kind: message, which editors and CI systems turn into links.
void print_problem(const std::string& path, const ConfigProblem& problem, const std::string& kind) {
  const Position position = problem.position;
  const std::string place =
      position.line == 0 ? path : fmt::format("{}:{}:{}", path, position.line, position.column);
  fmt::print("{}: {}: {}\n", place, kind, problem.message);
}

// What it receives, so that "all accounts" is seen when it was not meant.
std::string description(const DestinationConfig& destination) {
  std::string text = destination.accounts.empty()
                         ? "all accounts"
                         : fmt::format("accounts {}", fmt::join(destination.accounts, ", "));
  if (!destination.api_keys_include.empty() || !destination.api_keys_exclude.empty()) {
    text += ", some API keys";
  }
  if (destination.sampling_rate < 1.0) {
    text += fmt::format(", {:.4g} % of sessions", 100 * destination.sampling_rate);
  }
  if (destination.privacy_mode) text += ", no content";
  if (!destination.enabled) text += "; disabled";
  return printable(text, 200);
}

void print_report(const std::string& path, const ConfigReport& report) {
  const Style style(stdout);
  for (const ConfigProblem& error : report.errors) print_problem(path, error, style.bad("error"));
  for (const ConfigProblem& warning : report.warnings) {
    print_problem(path, warning, style.warn("warning"));
  }
  if (!report.config) {
    fmt::print("{}: {}, {} error{}\n", path, style.bad("not valid"), report.errors.size(),
               report.errors.size() == 1 ? "" : "s");
    return;
  }
  std::set<std::string_view> groups;
  for (const DestinationConfig& destination : report.config->destinations) {
    if (destination.enabled) groups.insert(destination.group);
    fmt::print("  {} ({}): {}\n", style.bold(printable(destination.name, 128)),
               destination.type->name, description(destination));
  }
  fmt::print("{}: {}; destinations: {}, groups that share batches: {}\n", path, style.good("valid"),
             report.config->destinations.size(), groups.size());
}

void print_tenants(const ConfigReport& report, std::size_t files,
                   const std::vector<std::string>& errors) {
  if (!report.config || report.config->destinations_dir.empty()) return;
  const Style style(stdout);
  for (const std::string& line : errors) fmt::print("{}\n", printable(line, 1000));
  fmt::print("{}: {}; tenants' files that are good: {}\n", report.config->destinations_dir,
             errors.empty() ? style.good("valid") : style.bad("not valid"), files);
}

// Of the tenants' files, if the config names any; how many there are goes to `files`.
std::vector<std::string> check_tenants(const ConfigReport& report, std::size_t& files) {
  if (!report.config || report.config->destinations_dir.empty()) return {};
  TenantDirectory tenants;
  if (const auto scanned = tenants.scan(report.config->destinations_dir); !scanned) {
    return {scanned.error().message()};
  }
  files = tenants.files().size();
  return tenants.problems();
}

int run_validate(const ValidateOptions& options) {
  auto report = check_config_file(options.path);
  if (!report) {
    // An unreadable file is a mistake like the others, so that --json has one shape.
    ConfigReport unreadable;
    unreadable.errors.push_back({{}, report.error().message()});
    report = std::move(unreadable);
  }
  std::size_t tenant_files = 0;
  const std::vector<std::string> tenant_errors = check_tenants(*report, tenant_files);
  if (options.json) {
    print_json(options.path, *report, tenant_errors);
  } else {
    print_report(options.path, *report);
    print_tenants(*report, tenant_files, tenant_errors);
  }
  return report->config && tenant_errors.empty() ? kExitDone : kExitUsage;
}

}  // namespace

void add_validate(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ValidateOptions>();
  CLI::App* const command = app.add_subcommand(
      "validate",
      "Check a config without connecting anywhere: every mistake with line and column, then what\n"
      "each destination will receive. Exit code 2 when it is not valid.");
  command->add_option("FILE", options->path, "The config")->required();
  command->add_flag("--json", options->json, "The result as one JSON object");
  command->callback([options, &exit_code] { exit_code = run_validate(*options); });
}

}  // namespace sidecast
