#include "engine/reload.h"

#include <algorithm>
#include <chrono>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/base/log.h"

namespace sidecast {
namespace {

// A signal says that there is a request; this is for whoever cannot send us one.
constexpr std::chrono::seconds kRequestScan{1};
// What inotify does not tell (a network file system, a queue that overflowed).
constexpr std::chrono::seconds kTenantScan{30};
// Files that are written one after the other are one change; but nobody waits for ever.
constexpr std::chrono::milliseconds kChangesEndAfter{200};
constexpr std::chrono::seconds kChangesWaitMax{1};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(std::move(line));
  return lines;
}

// "2 added (one, two), 1 removed (three), 40 unchanged".
std::string summary_of(const ConfigDifference& difference) {
  constexpr std::size_t kNamesMax = 3;
  std::string text;
  for (std::size_t i = 0; i < kDestinationChanges.size(); ++i) {
    std::size_t count = 0;
    std::vector<std::string_view> names;
    for (const auto& change : difference.destinations) {
      if (static_cast<std::size_t>(change.change) != i) continue;
      if (++count <= kNamesMax) names.emplace_back(change.name);
    }
    if (count == 0) continue;
    text += fmt::format("{} {} ({}{}), ", count, kDestinationChanges[i], fmt::join(names, ", "),
                        count > kNamesMax ? ", ..." : "");
  }
  text += fmt::format("{} destinations unchanged", difference.unchanged);
  if (!difference.applied.empty()) {
    text += fmt::format("; applied: {}", fmt::join(difference.applied, ", "));
  }
  return text;
}

}  // namespace

Reloader::Reloader(std::shared_ptr<ConfigLoader> loader, std::atomic<bool>* asked,
                   EnginePaths paths, Engine engine)
    : loader_(std::move(loader)),
      asked_(asked),
      paths_(std::move(paths)),
      engine_(std::move(engine)) {}

void Reloader::look(Instant now) {
  watch_tenants(now);
  const bool is_asked = asked_ != nullptr && asked_->exchange(false);
  if (!is_asked && now < next_look_) return;
  next_look_ = now + kRequestScan;
  const std::vector<std::string> ids = take_reload_requests(paths_);
  if (is_asked || !ids.empty()) reload(ids);
}

void Reloader::watch_tenants(Instant now) {
  if (loader_ == nullptr) return;
  const std::string& directory = engine_.running().config->destinations_dir;
  if (watch_ == nullptr || watch_->directory() != directory) {
    watch_ = std::make_unique<DirectoryWatch>(directory);
    next_scan_ = {};  // for what changed before it was watched
  }
  if (directory.empty()) return;
  if (watch_->take_changes()) {
    if (first_change_ == Instant{}) first_change_ = now;
    last_change_ = now;
  }
  const bool is_changed = first_change_ != Instant{} && (now - last_change_ >= kChangesEndAfter ||
                                                         now - first_change_ >= kChangesWaitMax);
  if (is_changed || now >= next_scan_) reload_tenants();
}

void Reloader::reload_tenants() {
  first_change_ = {};
  next_scan_ = monotonic_now() + kTenantScan;
  auto loaded = loader_->load_tenants();
  if (!loaded) {
    if (!is_unreadable_) {
      log_error("tenants' destinations stay as they were: {}", loaded.error().message());
    }
    is_unreadable_ = true;
    return;
  }
  is_unreadable_ = false;
  tell_tenant_news();
  if (!loaded->has_value()) return;
  const RunningConfig& running = engine_.running();
  const ConfigDifference changes = difference(running, **loaded);
  if (changes.destinations.empty()) return;
  (*loaded)->config = running.config;
  if (Status applied = engine_.apply(**loaded); !applied) {
    log_error("tenants' destinations stay as they were: {}", applied.error().message());
    return;
  }
  log_info("tenants' files: {}", summary_of(changes));
}

void Reloader::tell_tenant_news() {
  const TenantDirectory::News news = loader_->take_tenant_news();
  for (const std::string& bad : news.bad) {
    log_error("a tenant's file is left as it was: {}", bad);
  }
  for (const std::string& path : news.mended) log_info("{} is mended", path);
}

void Reloader::reload(const std::vector<std::string>& ids) {
  const Instant start = monotonic_now();
  ReloadAnswer result = load_and_apply();
  result.took_ms = std::chrono::duration<double, std::milli>(monotonic_now() - start).count();
  if (!result.errors.empty()) {
    log_error("reload refused, nothing has changed: {}{}", result.errors.front(),
              result.errors.size() == 1
                  ? std::string()
                  : fmt::format(" (and {} more mistakes)", result.errors.size() - 1));
  } else {
    log_info("reloaded {}: {}", result.config, summary_of(result.difference));
    for (const std::string& key : result.difference.needs_restart) {
      log_warning("{} was changed in {}; it stays as it was until the engine is restarted", key,
                  result.config);
    }
  }
  answer(ids, result);
}

ReloadAnswer Reloader::load_and_apply() {
  ReloadAnswer result;
  if (loader_ == nullptr) {
    result.errors = {"this engine was started without a file that could be read again"};
    return result;
  }
  result.config = loader_->path();
  auto loaded = loader_->load();
  if (!loaded) {
    result.errors = lines_of(loaded.error().message());
    return result;
  }
  tell_tenant_news();
  result.tenant_errors = loader_->tenant_problems();
  const RunningConfig& running = engine_.running();
  result.difference = difference(running, *loaded);
  if (!result.difference.needs_restart.empty()) keep_until_restart(*running.config, *loaded);
  if (Status applied = engine_.apply(*loaded); !applied) {
    result.errors = lines_of(applied.error().message());
    result.difference = {};
  }
  return result;
}

void Reloader::answer(const std::vector<std::string>& ids, const ReloadAnswer& answer) {
  if (ids.empty()) return;
  const std::string json = to_json(answer);
  for (const std::string& id : ids) {
    if (Status written = write_reload_answer(paths_, id, json); !written) {
      log_warning("answer a reload: {}", written.error().message());
    }
  }
}

}  // namespace sidecast
