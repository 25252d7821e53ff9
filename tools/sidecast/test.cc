// sidecast test: proves one destination's address and credentials.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "engine/base/private_memory.h"
#include "engine/config/config.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/connection_test.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

struct TestOptions {
  std::string name;
  std::string config = "sidecast.yaml";
  bool sends_trace = false;
  bool creates_table = false;
};

int run_test(const TestOptions& options) {
  const auto config = load_config(options.config);
  if (!config) {
    print_error(config.error().message());
    return kExitUsage;
  }
  const auto found =
      std::find_if(config->destinations.begin(), config->destinations.end(),
                   [&](const DestinationConfig& each) { return each.name == options.name; });
  if (found == config->destinations.end()) {
    std::string names;
    for (const DestinationConfig& each : config->destinations) {
      if (!names.empty()) names += ", ";
      names += printable(each.name, 128);
    }
    print_error(fmt::format("{} has no destination '{}'; it has: {}", options.config,
                            printable(options.name, 128), names));
    return kExitUsage;
  }
  const auto destination = std::make_shared<const DestinationConfig>(*found);
  if (options.creates_table) {
    const ConnectionTest table = create_table(destination);
    fmt::print("{}\n", table.line);
    if (!table.is_passed) return kExitFailed;
  }
  const ConnectionTest test = test_connection(destination, options.sends_trace);
  fmt::print("{}\n", test.line);
  return test.is_passed ? kExitDone : kExitFailed;
}

}  // namespace

void add_test(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<TestOptions>();
  CLI::App* const command = app.add_subcommand(
      "test",
      "Send one destination the cheapest request that proves its address and credentials, by the\n"
      "client that delivers, and say in a line what came of it. Exit code 1 when it failed.");
  command->add_option("NAME", options->name, "The destination's name")->required();
  command->add_option("--config", options->config, "The config")->capture_default_str();
  command->add_flag("--send-trace", options->sends_trace,
                    "Send a marked test trace instead, which will show up in the backend");
  command->add_flag("--create-table", options->creates_table,
                    "First make the table it writes to (clickhouse), unless it is there; what\n"
                    "`sidecast ddl` prints, by the destination's own connection and credentials");
  command->callback([options, &exit_code] {
    keep_memory_private(true);
    exit_code = run_test(*options);
  });
}

}  // namespace sidecast
