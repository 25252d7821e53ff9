// sidecast destinations: every destination type, and every option of one, from the descriptors.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "engine/base/json_writer.h"
#include "exporters/registry.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/table.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

struct DestinationsOptions {
  std::string type;  // empty = all
  bool json = false;
};

void write_option(JsonWriter& json, const Option& option) {
  json.begin_object();
  json.key("name").string(option.name);
  json.key("help").string(option.help);
  json.key("default").string(option.fallback);
  json.key("required").boolean(option.required);
  json.key("secret").boolean(option.secret);
  json.key("tuning").boolean(option.tuning);
  json.end_object();
}

void write_type(JsonWriter& json, const Destination& type) {
  json.begin_object();
  json.key("type").string(type.name);
  json.key("summary").string(type.summary);
  json.key("options").begin_array();
  for (const Option& option : type.options) write_option(json, option);
  json.end_array();
  json.end_object();
}

void write_names(JsonWriter& json, Text key, const std::vector<std::string_view>& names) {
  json.key(key).begin_array();
  for (const std::string_view name : names) json.string(name);
  json.end_array();
}

std::vector<std::string_view> dialect_names() {
  std::vector<std::string_view> names;
  for (const DialectEntry& dialect : dialects()) names.push_back(dialect.name);
  return names;
}

void print_json(const std::vector<const Destination*>& types) {
  ByteBuffer out;
  JsonWriter json(out);
  json.begin_object();
  json.key("destinations").begin_array();
  for (const Destination* type : types) write_type(json, *type);
  json.end_array();
  write_names(json, "dialects", dialect_names());
  json.end_object();
  out.push_back('\n');
  std::fwrite(out.view().data(), 1, out.size(), stdout);
}

void print_types(const std::vector<const Destination*>& types) {
  const Style style(stdout);
  Table table({{"type", Align::kLeft}, {"what", Align::kLeft}, {"needs", Align::kLeft}});
  for (const Destination* type : types) {
    std::string needs;
    for (const Option& option : type->options) {
      if (!option.required) continue;
      if (!needs.empty()) needs += ", ";
      needs += option.name;
    }
    table.add_row({{std::string(type->name)}, {std::string(type->summary)}, {needs}});
  }
  fmt::print("{}", table.render(style));
  std::string names;
  for (const std::string_view name : dialect_names()) names += fmt::format(" {}", name);
  fmt::print("\ndialects:{}\n'sidecast destinations TYPE' lists a type's options.\n", names);
}

void print_options(const Destination& type) {
  const Style style(stdout);
  fmt::print("{}: {}\n", style.bold(type.name), type.summary);
  for (const Option& option : type.options) {
    std::string notes;
    if (option.required) notes += " (required)";
    if (option.secret) notes += " (secret)";
    if (!option.fallback.empty()) notes += fmt::format(" [{}]", option.fallback);
    fmt::print("  {}{}\n      {}\n", style.bold(option.name), style.dim(notes), option.help);
  }
}

int run_destinations(const DestinationsOptions& options) {
  std::vector<const Destination*> types(destination_types().begin(), destination_types().end());
  if (!options.type.empty()) {
    const Destination* const type = find_destination_type(options.type);
    if (type == nullptr) {
      print_error(fmt::format("unknown destination type '{}'; `sidecast destinations` lists them",
                              printable(options.type, 60)));
      return kExitUsage;
    }
    types = {type};
  }
  if (options.json) {
    print_json(types);
  } else if (options.type.empty()) {
    print_types(types);
  } else {
    print_options(*types.front());
  }
  return kExitDone;
}

}  // namespace

void add_destinations(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<DestinationsOptions>();
  CLI::App* const command = app.add_subcommand(
      "destinations", "Every destination type; of one type, every option with help and default.");
  command->add_option("TYPE", options->type, "Only this type");
  command->add_flag("--json", options->json, "As one JSON object");
  command->callback([options, &exit_code] { exit_code = run_destinations(*options); });
}

}  // namespace sidecast
