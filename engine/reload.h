// Reload: reads the configuration again when somebody asks (SIGHUP, or `sidecast reload`, which
// waits for an answer), has a valid one applied by difference, and says what came of it. An invalid
// one changes nothing and is told with every mistake's place. Tenants' files are looked at whenever
// one changes, without being asked.
// Threads: belongs to the housekeeping thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "engine/config/directory_watch.h"
#include "engine/config/loader.h"
#include "engine/ledger/paths.h"
#include "engine/reload_answer.h"

namespace sidecast {

class Reloader {
 public:
  struct Engine {
    std::function<const RunningConfig&()> running;
    // All or nothing.
    std::function<Status(const RunningConfig&)> apply;
  };
  // `loader` may be null: then every reload is refused. `asked` may be null.
  Reloader(std::shared_ptr<ConfigLoader> loader, std::atomic<bool>* asked, EnginePaths paths,
           Engine engine);

  // Called often; reloads when somebody has asked or a tenant's file has changed.
  void look(Instant now);

 private:
  void reload(const std::vector<std::string>& ids);
  void watch_tenants(Instant now);
  void reload_tenants();
  void tell_tenant_news();
  [[nodiscard]] ReloadAnswer load_and_apply();
  void answer(const std::vector<std::string>& ids, const ReloadAnswer& answer);

  std::shared_ptr<ConfigLoader> loader_;
  std::atomic<bool>* asked_;
  EnginePaths paths_;
  Engine engine_;
  Instant next_look_{};
  std::unique_ptr<DirectoryWatch> watch_;  // of the tenants' directory; made at the first look
  Instant next_scan_{};
  Instant first_change_{};  // of those not yet looked at; none when it is zero
  Instant last_change_{};
  bool is_unreadable_ = false;  // the directory; that it is has been said
};

}  // namespace sidecast
