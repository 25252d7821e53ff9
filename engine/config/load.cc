// Configs against the real world: the registry's destination types, the process's environment and
// files.
#include <utility>

#include "engine/config/config.h"
#include "engine/config/file.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

ConfigReport check_here(std::string_view text, const std::string& file) {
  return check_config(text, file, destination_types(), process_sources(file));
}

Result<Config> config_of(ConfigReport report, const std::string& file) {
  if (report.config) return *std::move(report.config);
  std::string message;
  for (const ConfigProblem& error : report.errors) {
    if (!message.empty()) message += '\n';
    message += problem_line(file, error);
  }
  return fail(std::move(message));
}

}  // namespace

Result<Config> parse_config(std::string_view text, const std::string& file) {
  return config_of(check_here(text, file), file);
}

Result<Config> load_config(const std::string& path) {
  auto report = check_config_file(path);
  if (!report) return fail(std::move(report).error());
  return config_of(*std::move(report), path);
}

Result<std::string> load_ring_dir(const std::string& path) {
  auto text = read_file(path, kConfigBytesMax);
  if (!text) return fail(std::move(text).error());
  return parse_ring_dir(*text, path, process_sources(path));
}

Result<std::string> load_spool_dir(const std::string& path) {
  auto text = read_file(path, kConfigBytesMax);
  if (!text) return fail(std::move(text).error());
  return parse_spool_dir(*text, path, process_sources(path));
}

Result<ConfigReport> check_config_file(const std::string& path) {
  auto text = read_file(path, kConfigBytesMax);
  if (!text) return fail(std::move(text).error());
  return check_here(*text, path);
}

}  // namespace sidecast
