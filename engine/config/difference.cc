#include "engine/config/difference.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_set>

namespace sidecast {
namespace {

using Change = ConfigDifference::Change;

bool have_equal_settings(const DestinationConfig& a, const DestinationConfig& b) {
  return a.group == b.group && a.timeout == b.timeout && a.connections_max == b.connections_max &&
         a.ca_file == b.ca_file && a.client_cert_file == b.client_cert_file &&
         a.client_key_file == b.client_key_file && a.proxy == b.proxy && a.no_proxy == b.no_proxy &&
         a.egress_allowed == b.egress_allowed &&
         a.http2_prior_knowledge == b.http2_prior_knowledge && a.options.values == b.options.values;
}

// Of one name. Nothing: it is the same.
std::optional<DestinationChange> change_of(const DestinationConfig& before,
                                           const DestinationConfig& after) {
  if (&before == &after) return std::nullopt;
  if (before.enabled && !after.enabled) return DestinationChange::kDisabled;
  if (!before.enabled && after.enabled) return DestinationChange::kEnabled;
  if (before.identity != after.identity) return DestinationChange::kReplaced;
  if (!have_equal_credentials(before, after)) return DestinationChange::kCredentials;
  if (!have_equal_settings(before, after)) return DestinationChange::kSettings;
  return std::nullopt;
}

void compare_destinations(const RunningConfig& before, const RunningConfig& after,
                          ConfigDifference& difference) {
  using Sides = std::pair<const DestinationConfig*, const DestinationConfig*>;
  // Of ten thousand in files that were not read again, each is the very object it was.
  std::unordered_set<const DestinationConfig*> earlier;
  earlier.reserve(before.destinations.size());
  for (const auto& destination : before.destinations) earlier.insert(destination.get());
  std::map<std::string_view, Sides> by_name;
  for (const auto& destination : after.destinations) {
    if (earlier.erase(destination.get()) > 0) {
      ++difference.unchanged;
    } else {
      by_name[destination->name].second = destination.get();
    }
  }
  for (const DestinationConfig* const destination : earlier) {
    by_name[destination->name].first = destination;
  }
  for (const auto& [name, sides] : by_name) {
    std::optional<DestinationChange> change;
    if (sides.first == nullptr) {
      change = DestinationChange::kAdded;
    } else if (sides.second == nullptr) {
      change = DestinationChange::kRemoved;
    } else {
      change = change_of(*sides.first, *sides.second);
    }
    if (change) {
      difference.destinations.push_back({std::string(name), *change});
    } else {
      ++difference.unchanged;
    }
  }
}

void compare_settings(const Config& before, const Config& after, ConfigDifference& difference) {
  const auto compare = [](std::vector<std::string>& changed, std::string_view key, bool is_equal) {
    if (!is_equal) changed.emplace_back(key);
  };
  auto& applied = difference.applied;
  compare(applied, "batch_age_max", before.batch_age_max == after.batch_age_max);
  compare(applied, "destinations_dir", before.destinations_dir == after.destinations_dir);
  // That of a spool is its age_max.
  compare(applied, "give_up_after",
          before.give_up_after == after.give_up_after || before.spool != after.spool);
  compare(applied, "shutdown_deadline", before.shutdown_deadline == after.shutdown_deadline);
  compare(applied, "writers",
          before.ring_bytes == after.ring_bytes && before.lanes == after.lanes &&
              before.record_bytes_max == after.record_bytes_max &&
              before.writers_off == after.writers_off);
  auto& needs_restart = difference.needs_restart;
  compare(needs_restart, "core_dumps", before.core_dumps == after.core_dumps);
  compare(needs_restart, "explain", before.explain_bytes == after.explain_bytes);
  compare(needs_restart, "id_characters_max", before.id_characters_max == after.id_characters_max);
  compare(needs_restart, "memory_limit", before.memory_limit_bytes == after.memory_limit_bytes);
  compare(needs_restart, "ring_dir", before.ring_dir == after.ring_dir);
  compare(needs_restart, "spool", before.spool == after.spool);
  compare(needs_restart, "workers", before.workers == after.workers);
}

}  // namespace

ConfigDifference difference(const RunningConfig& before, const RunningConfig& after) {
  ConfigDifference difference;
  compare_destinations(before, after, difference);
  compare_settings(*before.config, *after.config, difference);
  return difference;
}

bool have_equal_credentials(const DestinationConfig& a, const DestinationConfig& b) {
  return a.secrets == b.secrets && a.secret_headers == b.secret_headers &&
         a.proxy_credentials == b.proxy_credentials && a.options.headers == b.options.headers;
}

void keep_until_restart(const Config& before, RunningConfig& after) {
  auto kept = std::make_shared<Config>(*after.config);
  kept->core_dumps = before.core_dumps;
  kept->explain_bytes = before.explain_bytes;
  kept->id_characters_max = before.id_characters_max;
  kept->memory_limit_bytes = before.memory_limit_bytes;
  kept->ring_dir = before.ring_dir;
  if (kept->spool != before.spool) {
    kept->spool = before.spool;
    kept->give_up_after = before.give_up_after;
  }
  kept->workers = before.workers;
  after.config = std::move(kept);
}

}  // namespace sidecast
