// Tenants' files: one YAML file per tenant in `destinations_dir`, added, changed and removed while
// the engine runs.
//
//   account: acme            # or accounts: [acme, acme-eu]; required
//   destinations:
//     - {name: traces, type: langfuse, ...}      # is called "acme/traces" for acme.yaml
//
// A file is valid as a whole or left as it was, and a bad one keeps none of the others. Its
// destinations get records of the accounts that it states and of no other: one of them may narrow
// that and cannot widen it. Who may write to the directory decides which file states what, so a
// file that anybody may write to is refused. What a tenant chose is not trusted: no ${...}, which
// could read the operator's secrets, no local files, and no private addresses
// (exporters/http/egress.h).
//
// Threads: the starting thread, then the housekeeping thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/stat.h>

#include "engine/base/result.h"
#include "engine/config/config.h"

namespace sidecast {

inline constexpr std::size_t kTenantFilesMax = 16'384;
inline constexpr std::size_t kTenantFileBytesMax = 1U << 20U;
inline constexpr std::string_view kTenantFileSuffix = ".yaml";

struct TenantFile {
  std::string path;
  std::vector<std::string> accounts;            // sorted; never empty
  std::vector<DestinationConfig> destinations;  // of these accounts or fewer
};
using TenantFilePtr = std::shared_ptr<const TenantFile>;

struct TenantReport {
  std::optional<TenantFile> file;  // set when there are no errors
  std::vector<ConfigProblem> errors;
};

// Pure.
[[nodiscard]] TenantReport check_tenant_file(std::string_view text, const std::string& path,
                                             std::span<const Destination* const> types);

// A directory of such files, as of the last scan(). A file that has not changed since is not read
// again.
class TenantDirectory {
 public:
  // `egress_allowed`: private ranges that their destinations may reach; null = none.
  explicit TenantDirectory(std::shared_ptr<const AddressRanges> egress_allowed = nullptr)
      : egress_allowed_(std::move(egress_allowed)) {}

  // All that is known of the files, with other ranges: what a file says does not depend on them,
  // and one that is bad by now stays as it was.
  [[nodiscard]] std::unique_ptr<TenantDirectory> with_egress(
      std::shared_ptr<const AddressRanges> egress_allowed) const;

  // True when something changed. An Error, and nothing has changed, when the directory cannot be
  // read: that is no removal of all tenants.
  [[nodiscard]] Result<bool> scan(const std::string& directory);

  // The good files, or what they were when they were good; by path.
  [[nodiscard]] std::vector<TenantFilePtr> files() const;
  // "FILE:LINE:COLUMN: ...", a line for each mistake in each bad file.
  [[nodiscard]] std::vector<std::string> problems() const;
  // What changed about the bad ones since the last call, for the log: the first mistake of each
  // file that turned bad, and that it is mended.
  struct News {
    std::vector<std::string> bad;
    std::vector<std::string> mended;  // paths
  };
  [[nodiscard]] News take_news();

 private:
  struct Known {
    // Of the file that was read.
    std::int64_t changed_ns = 0;
    std::int64_t written_ns = 0;
    std::uint64_t size = 0;
    std::uint64_t inode = 0;
    bool is_settled = false;  // old enough when it was read for a later change to show
    TenantFilePtr good;       // null: never was
    std::vector<std::string> errors;
    bool is_seen = false;  // by the scan under way
  };
  [[nodiscard]] bool look_at(const std::string& path, const struct stat& info);
  void read(const std::string& path, Known& known);

  std::shared_ptr<const AddressRanges> egress_allowed_;
  std::map<std::string, Known> known_;
  News news_;
};

}  // namespace sidecast
