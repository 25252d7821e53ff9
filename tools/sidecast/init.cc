// sidecast init: write a commented config to start from.
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "engine/base/result.h"
#include "exporters/registry.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/starter_config.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

// What a first try sends to: a Collector, or `sidecast sink`, on this machine.
constexpr std::string_view kFirstType = "otlp";
constexpr std::string_view kFirstEndpoint = "http://127.0.0.1:4318";

struct InitOptions {
  std::string path;  // empty or "-": stdout
  std::vector<std::string> types;
  bool force = false;
};

Result<std::vector<StarterDestination>> starter_destinations(const InitOptions& options) {
  std::vector<StarterDestination> destinations;
  for (const std::string& name : options.types) {
    const Destination* const type = find_destination_type(name);
    if (type == nullptr) {
      std::string known;
      for (const Destination* one : destination_types()) known += fmt::format(" {}", one->name);
      return fail(fmt::format("unknown destination type '{}'; known types:{}", name, known));
    }
    StarterDestination destination{type, {}};
    if (name == kFirstType) destination.values.emplace("endpoint", kFirstEndpoint);
    destinations.push_back(std::move(destination));
  }
  return destinations;
}

// A new file is readable by its owner alone: secrets will stand in it sooner or later. One that is
// replaced keeps its owner and mode, which say who may run the engine.
Status write_config(const std::string& path, std::string_view text, bool force) {
  const auto failed = [&path](std::string_view what) {
    return fail(
        fmt::format("cannot {} {}: {}", what, path, std::generic_category().message(errno)));
  };
  const int exclusive = force ? O_TRUNC : O_EXCL;
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | exclusive, 0600);
  if (file < 0 && errno == EEXIST) {
    return fail(fmt::format("{} exists already; --force replaces it", path));
  }
  if (file < 0) return failed("create");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(fdopen(file, "w"), &std::fclose);
  if (std::fwrite(text.data(), 1, text.size(), stream.get()) != text.size()) return failed("write");
  if (std::fflush(stream.get()) != 0) return failed("write");
  return {};
}

int run_init(const InitOptions& options) {
  const auto destinations = starter_destinations(options);
  if (!destinations) {
    print_error(destinations.error().message());
    return kExitUsage;
  }
  const std::string text = starter_config(*destinations);
  if (options.path.empty() || options.path == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return std::fflush(stdout) == 0 ? kExitDone : kExitFailed;
  }
  const Status written = write_config(options.path, text, options.force);
  if (!written) {
    print_error(written.error().message());
    return kExitFailed;
  }
  fmt::print("Wrote {0}. Edit it, then: sidecast validate {0}\n", options.path);
  return kExitDone;
}

}  // namespace

void add_init(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<InitOptions>();
  options->types = {std::string(kFirstType)};
  CLI::App* const command = app.add_subcommand(
      "init",
      "Write a config to start from, with every setting, its help and its default. Secrets in it\n"
      "are references to the environment, never values.");
  command->add_option("FILE", options->path, "Where to; without it, to stdout");
  command->add_option("--type", options->types, "Destination types to set up, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  command->add_flag("--force", options->force, "Replace FILE if it exists");
  command->callback([options, &exit_code] { exit_code = run_init(*options); });
}

}  // namespace sidecast
