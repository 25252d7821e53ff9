// sidecast add: builds a destination, tests it, and only then writes it into the config.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "engine/base/private_memory.h"
#include "engine/config/config.h"
#include "engine/config/file.h"
#include "engine/config/seal_keys.h"
#include "exporters/registry.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/config_edit.h"
#include "tools/sidecast/connection_test.h"
#include "tools/sidecast/replace_file.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

struct AddOptions {
  std::string type;
  std::vector<std::string> settings;  // key=value
  std::string name;
  std::string config = "sidecast.yaml";
  std::string key_file;
  bool skips_test = false;
};

// A missing file is an empty config.
Result<std::string> read_config_text(const std::string& path) {
  if (!std::filesystem::exists(path)) return std::string();
  return read_file(path, kConfigBytesMax);
}

std::string error_lines(const ConfigReport& report, const std::string& file) {
  std::string text;
  for (const ConfigProblem& error : report.errors) {
    if (!text.empty()) text += '\n';
    text += problem_line(file, error);
  }
  return text;
}

Result<Config> check(const std::string& text, const std::string& file) {
  auto report = check_config(text, file, destination_types(), process_sources(file));
  if (!report.config) return fail(error_lines(report, file));
  return *std::move(report.config);
}

// The type's own name, or with the first number that makes it new.
std::string free_name(std::string_view type, const Config& config) {
  std::set<std::string_view> taken;
  for (const DestinationConfig& each : config.destinations) taken.insert(each.name);
  std::string name(type);
  for (int number = 2; taken.contains(name); ++number) name = fmt::format("{}-{}", type, number);
  return name;
}

bool is_secret(const Destination& type, std::string_view option) {
  return std::any_of(type.options.begin(), type.options.end(),
                     [option](const Option& each) { return each.secret && each.name == option; });
}

// A secret in plain text is sealed where there is a key, so that none is written down.
Result<Settings> settings_of(const AddOptions& options, const Destination& type,
                             const std::string& name) {
  const auto keys = find_seal_keys(process_sources(options.config), options.key_file);
  Settings settings = {{"name", name}, {"type", std::string(type.name)}};
  for (const std::string& given : options.settings) {
    const std::size_t equals = given.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(fmt::format("'{}' must read key=value", printable(given.substr(0, 20), 20)));
    }
    std::string key = given.substr(0, equals);
    std::string value = given.substr(equals + 1);
    const bool is_plain =
        value.find("${") == std::string::npos && !value.starts_with(kSealedPrefix);
    if (keys && is_secret(type, key) && is_plain && !value.empty()) {
      auto sealed = keys->keys.seal(value);
      if (!sealed) return fail(fmt::format("{}: {}", key, sealed.error().message()));
      value = *std::move(sealed);
    }
    settings.emplace_back(std::move(key), std::move(value));
  }
  return settings;
}

// That what was in the config before is all still there, unchanged, before the new one.
bool is_kept(const Config& before, const Config& after) {
  if (after.destinations.size() != before.destinations.size() + 1) return false;
  return std::equal(before.destinations.begin(), before.destinations.end(),
                    after.destinations.begin(),
                    [](const DestinationConfig& one, const DestinationConfig& other) {
                      return one.identity == other.identity && one.group == other.group;
                    });
}

int usage_error(std::string_view message) {
  print_error(message);
  return kExitUsage;
}

int run_add(const AddOptions& options) {
  const Destination* const type = find_destination_type(options.type);
  if (type == nullptr) {
    return usage_error(
        fmt::format("unknown destination type '{}'; `sidecast destinations` lists them",
                    printable(options.type, 60)));
  }
  const auto text = read_config_text(options.config);
  if (!text) return usage_error(text.error().message());
  const auto before = check(*text, options.config);
  if (!before) return usage_error(before.error().message());
  const std::string name = options.name.empty() ? free_name(type->name, *before) : options.name;
  const auto settings = settings_of(options, *type, name);
  if (!settings) return usage_error(settings.error().message());
  const auto changed = add_destination_to(*text, *settings);
  if (!changed) {
    return usage_error(
        fmt::format("{}: {}; add it by hand", options.config, changed.error().message()));
  }
  const auto after = check(*changed, options.config);
  if (!after) return usage_error(after.error().message());
  if (!is_kept(*before, *after)) {
    return usage_error(
        fmt::format("{}: its layout would not survive this; add it by hand", options.config));
  }
  if (!options.skips_test) {
    const ConnectionTest test = test_connection(
        std::make_shared<const DestinationConfig>(after->destinations.back()), false);
    fmt::print("{}\n", test.line);
    if (!test.is_passed) {
      print_error(fmt::format("{} is as it was; --no-test saves it all the same", options.config));
      return kExitFailed;
    }
  }
  const Status saved = replace_file(options.config, *changed);
  if (!saved) {
    print_error(saved.error().message());
    return kExitFailed;
  }
  for (const std::string& warning : after->warnings) {
    if (std::find(before->warnings.begin(), before->warnings.end(), warning) ==
        before->warnings.end()) {
      print_error(warning);
    }
  }
  fmt::print("Added {} to {}.\n", printable(name, 128), options.config);
  return kExitDone;
}

}  // namespace

void add_add(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<AddOptions>();
  CLI::App* const command = app.add_subcommand(
      "add",
      "Build a destination, test it, and only then write it into the config, which keeps its\n"
      "comments and layout. Secrets are sealed where there is a key (see `sidecast seal`); better\n"
      "than a secret on a command line is a reference: api_key='${env:NAME}'.");
  command->add_option("TYPE", options->type, "Its type; `sidecast destinations` lists them")
      ->required();
  command->add_option("SETTING", options->settings, "key=value, options of the type and others");
  command->add_option("--name", options->name, "Its name; without it, the type's");
  command->add_option("--config", options->config, "The config")->capture_default_str();
  command->add_option("--key-file", options->key_file, "Key for sealing secrets");
  command->add_flag("--no-test", options->skips_test, "Save it untested");
  command->callback([options, &exit_code] {
    keep_memory_private(true);
    exit_code = run_add(*options);
  });
}

}  // namespace sidecast
