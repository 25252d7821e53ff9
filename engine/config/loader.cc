#include "engine/config/loader.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "engine/ledger/layout.h"

namespace sidecast {
namespace {

bool have_equal_egress(const Config& a, const Config& b) {
  const AddressRanges none;
  return (a.egress_allowed ? *a.egress_allowed : none) ==
         (b.egress_allowed ? *b.egress_allowed : none);
}

}  // namespace

ConfigLoader::ConfigLoader(std::string path, std::string ring_dir)
    : path_(std::move(path)), ring_dir_(std::move(ring_dir)) {
  // Whoever changes the working directory later still means this file.
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path_, error);
  if (!error) path_ = absolute.string();
}

Result<RunningConfig> ConfigLoader::load() {
  auto loaded = load_config(path_);
  if (!loaded) return fail(std::move(loaded.error()));
  if (!ring_dir_.empty()) loaded->ring_dir = ring_dir_;
  auto config = std::make_shared<const Config>(*std::move(loaded));
  if (!config->destinations_dir.empty()) {
    const bool is_other = config_ == nullptr || tenants_ == nullptr ||
                          config_->destinations_dir != config->destinations_dir;
    const bool is_changed = is_other || !have_equal_egress(*config_, *config);
    std::unique_ptr<TenantDirectory> tenants;
    if (is_other) {
      tenants = std::make_unique<TenantDirectory>(config->egress_allowed);
    } else if (is_changed) {
      tenants = tenants_->with_egress(config->egress_allowed);
    } else {
      tenants = std::move(tenants_);
    }
    const auto scanned = tenants->scan(config->destinations_dir);
    // What is known of the files so far stays known.
    if (!is_changed || scanned) tenants_ = std::move(tenants);
    if (!scanned) return fail(Error(scanned.error()).with("destinations_dir"));
  }
  config_ = config;
  return combine(std::move(config));
}

Result<std::optional<RunningConfig>> ConfigLoader::load_tenants() {
  if (config_ == nullptr || config_->destinations_dir.empty()) return std::nullopt;
  const auto changed = tenants_->scan(config_->destinations_dir);
  if (!changed) return fail(changed.error());
  if (!*changed) return std::nullopt;
  return combine(config_);
}

// Names are unique over all files: "file/name" is a tenant's, unless the operator took it.
RunningConfig ConfigLoader::combine(std::shared_ptr<const Config> config) {
  RunningConfig running{.config = std::move(config), .destinations = {}};
  clashes_.clear();
  std::unordered_map<std::string_view, const std::string*> files;  // by name of a destination
  for (const DestinationConfig& destination : running.config->destinations) {
    files.emplace(destination.name, &path_);
    running.destinations.emplace_back(running.config, &destination);
  }
  if (running.config->destinations_dir.empty()) return running;
  for (const TenantFilePtr& file : tenants_->files()) {
    for (const DestinationConfig& destination : file->destinations) {
      const auto [first, is_new] = files.emplace(destination.name, &file->path);
      if (!is_new) {
        clashes_.push_back(
            fmt::format("{}: destination '{}' stands already in {}; names must differ", file->path,
                        destination.name, *first->second));
      } else if (running.destinations.size() == ledger::kDestinationsMax) {
        clashes_.push_back(
            fmt::format("{}: destination '{}' is one more than the {} that an engine "
                        "serves",
                        file->path, destination.name, ledger::kDestinationsMax));
      } else {
        running.destinations.emplace_back(file, &destination);
      }
    }
  }
  return running;
}

std::vector<std::string> ConfigLoader::tenant_problems() const {
  if (config_ == nullptr || config_->destinations_dir.empty()) return {};
  std::vector<std::string> problems = tenants_->problems();
  problems.insert(problems.end(), clashes_.begin(), clashes_.end());
  return problems;
}

}  // namespace sidecast
