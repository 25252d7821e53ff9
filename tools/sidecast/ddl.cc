// sidecast ddl: the SQL that makes the table a destination writes to.
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "exporters/destinations/options.h"
#include "exporters/registry.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

Result<std::string> ddl_of(const std::string& name, const std::vector<std::string>& settings) {
  std::vector<std::string_view> known;
  for (const Destination* type : destination_types()) {
    if (type->table_ddl != nullptr) known.push_back(type->name);
  }
  const Destination* const type = find_destination_type(name);
  if (type == nullptr || type->table_ddl == nullptr) {
    return fail(fmt::format("'{}' is no destination with a table; these are: {}{}", name,
                            fmt::join(known, ", "), did_you_mean(name, known)));
  }
  OptionValues options;
  std::vector<std::string_view> option_names;
  for (const Option& option : type->options) {
    if (option.secret) continue;
    option_names.push_back(option.name);
    options.values.emplace(option.name, option.fallback);
  }
  for (const std::string& pair : settings) {
    const std::size_t equals = pair.find('=');
    const auto found = options.values.find(pair.substr(0, equals));
    if (equals == std::string::npos || found == options.values.end()) {
      return fail(fmt::format("'{}' is not option=value of {}{}", pair, name,
                              did_you_mean(pair.substr(0, equals), option_names)));
    }
    found->second = pair.substr(equals + 1);
  }
  return type->table_ddl(options);
}

}  // namespace

void add_ddl(CLI::App& app, int& exit_code) {
  auto* const command = app.add_subcommand(
      "ddl", "Print the SQL that makes the table a destination writes to (clickhouse, ...).");
  auto type = std::make_shared<std::string>();
  auto settings = std::make_shared<std::vector<std::string>>();
  command->add_option("TYPE", *type, "Destination type.")->required();
  command->add_option("OPTION=VALUE", *settings, "Options of it, e.g. table=TRACES.");
  command->callback([type, settings, &exit_code] {
    const auto ddl = ddl_of(*type, *settings);
    if (!ddl) {
      print_error(ddl.error().message());
      exit_code = kExitUsage;
      return;
    }
    std::fputs(ddl->c_str(), stdout);
  });
}

}  // namespace sidecast
