// The configuration on disk, as an engine reads it: at the start, and again at each reload.
// Tenants' files that have not changed since the last time are not read again. Threads: the
// starting thread, then the housekeeping thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/running.h"
#include "engine/config/tenants.h"

namespace sidecast {

class ConfigLoader {
 public:
  // `ring_dir` overrides the file's; empty: it does not.
  explicit ConfigLoader(std::string path, std::string ring_dir = {});

  // Reads everything there is. An Error has one line per mistake in the operator's file, each
  // "FILE:LINE:COLUMN: ...", and then nothing has changed here. A tenant's file that is bad is left
  // as it was; see tenant_problems().
  [[nodiscard]] Result<RunningConfig> load();
  // Looks at the tenants' files alone; nothing when none has changed.
  [[nodiscard]] Result<std::optional<RunningConfig>> load_tenants();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  // One line per mistake in tenants' files, as of the last look.
  [[nodiscard]] std::vector<std::string> tenant_problems() const;
  // What is new about them, one line each, for the log.
  [[nodiscard]] TenantDirectory::News take_tenant_news() { return tenants_->take_news(); }

 private:
  [[nodiscard]] RunningConfig combine(std::shared_ptr<const Config> config);

  std::string path_;
  std::string ring_dir_;
  std::shared_ptr<const Config> config_;  // the operator's file, when it was last good
  std::unique_ptr<TenantDirectory> tenants_ = std::make_unique<TenantDirectory>();
  std::vector<std::string> clashes_;  // between good files
};

}  // namespace sidecast
