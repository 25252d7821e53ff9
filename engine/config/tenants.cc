#include "engine/config/tenants.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/config/destination.h"
#include "engine/config/file.h"
#include "engine/config/units.h"
#include "engine/config/yaml_reader.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr std::size_t kDestinationsPerFileMax = 1024;
// Time stamps of files are no finer than a tick of the kernel.
constexpr std::chrono::seconds kSettledAfter{1};

std::int64_t ns_of(const timespec& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

std::string words(int error) {
  return std::generic_category().message(error);
}

// The file's name without its suffix: what its destinations are called by.
std::string tenant_of(const std::string& path) {
  return std::filesystem::path(path).stem().string();
}

void read_accounts(MapReader& reader, std::vector<std::string>& accounts) {
  Problems& problems = reader.context().problems;
  const std::size_t errors_before = problems.error_count();
  reader.read_set("accounts", accounts, kAccountBytesMax);
  if (auto account = reader.read_text("account")) {
    if (reader.has("accounts")) {
      problems.error(account->position, "'account' and 'accounts' are the same; keep one of them");
    } else if (account->text.empty() || account->text.size() > kAccountBytesMax) {
      problems.error(account->position,
                     fmt::format("'account' must be 1 to {} bytes", kAccountBytesMax));
    }
    accounts = {std::move(account->text)};
  }
  if (problems.error_count() != errors_before) return;
  if (accounts.empty()) {
    problems.error(reader.position_of("accounts"),
                   "a tenant's file needs an 'account' (or a list of 'accounts'): its destinations "
                   "get the records of these and no others");
  }
  if (std::binary_search(accounts.begin(), accounts.end(), "*")) {
    problems.error(reader.position_of("accounts"), "accounts are names, there are no patterns");
  }
}

void read_destinations(MapReader& reader, std::span<const Destination* const> types,
                       const TenantScope& scope, TenantFile& file) {
  Problems& problems = reader.context().problems;
  const YamlNode* const list = reader.read_list("destinations");
  if (list == nullptr) return;
  if (list->items.size() > kDestinationsPerFileMax) {
    problems.error(list->position, fmt::format("more than {} destinations in one tenant's file",
                                               kDestinationsPerFileMax));
    return;
  }
  DestinationNames names;
  for (const auto& item : list->items) {
    if (problems.is_full()) return;
    if (item->kind != YamlNode::Kind::kMap) {
      problems.error(item->position, "a destination must be a map with 'name' and 'type'");
      continue;
    }
    auto destination = read_destination(*item, reader.context(), types, names, &scope);
    if (destination) file.destinations.push_back(*std::move(destination));
  }
}

void read_document(const YamlNode& root, ReadContext context,
                   std::span<const Destination* const> types, TenantFile& file) {
  if (root.kind != YamlNode::Kind::kMap) {
    context.problems.error(root.position,
                           "a tenant's file is a map with 'account' and 'destinations'");
    return;
  }
  MapReader reader(root, context);
  TenantScope scope{.name = tenant_of(file.path), .accounts = {}};
  read_accounts(reader, scope.accounts);
  file.accounts = scope.accounts;
  read_destinations(reader, types, scope, file);
  reader.finish();
}

// Nothing, or why the file is not to be trusted.
std::string distrust(const struct stat& info) {
  if (!S_ISREG(info.st_mode)) return "is no regular file";
  if ((info.st_mode & S_IWOTH) != 0) return "may be written by anybody; chmod o-w";
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return fmt::format("belongs to user {}, not to the engine's or root", info.st_uid);
  }
  return {};
}

}  // namespace

TenantReport check_tenant_file(std::string_view text, const std::string& path,
                               std::span<const Destination* const> types) {
  TenantReport report;
  Problems problems;
  const ConfigSources nothing;  // from outside the file
  Expander expander(nothing);
  TenantFile file{.path = path, .accounts = {}, .destinations = {}};
  if (auto root = parse_yaml(text)) {
    read_document(**root, {problems, expander}, types, file);
  } else {
    problems.error(root.error().position, root.error().message);
  }
  report.errors = problems.take_errors();
  if (report.errors.empty()) report.file = std::move(file);
  return report;
}

Result<bool> TenantDirectory::scan(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(directory.c_str()), &::closedir);
  if (folder == nullptr)
    return fail(fmt::format("{}: cannot be read: {}", directory, words(errno)));
  std::vector<std::string> names;
  errno = 0;
  // A stream of our own, which glibc reads safely.
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  while (const dirent* const entry = ::readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (name.starts_with('.') || !name.ends_with(kTenantFileSuffix)) continue;  // an editor's draft
    names.emplace_back(name);
  }
  if (errno != 0) return fail(fmt::format("{}: cannot be read: {}", directory, words(errno)));
  if (names.size() > kTenantFilesMax) {
    return fail(fmt::format("{}: {} files are more than the {} that an engine serves", directory,
                            names.size(), kTenantFilesMax));
  }
  bool has_changed = false;
  for (auto& [path, known] : known_) known.is_seen = false;
  std::string path = directory;
  if (!path.ends_with('/')) path += '/';
  const std::size_t folder_bytes = path.size();
  for (const std::string& name : names) {
    path.resize(folder_bytes);
    path += name;
    struct stat info {};
    // By the open folder: of ten thousand names none is looked up from the root.
    if (::fstatat(::dirfd(folder.get()), name.c_str(), &info, 0) != 0) continue;  // gone meanwhile
    has_changed = look_at(path, info) || has_changed;
  }
  const std::size_t gone =
      std::erase_if(known_, [](const auto& one) { return !one.second.is_seen; });
  return has_changed || gone > 0;
}

// True when it was read.
bool TenantDirectory::look_at(const std::string& path, const struct stat& info) {
  Known& known = known_[path];
  known.is_seen = true;
  const auto size = static_cast<std::uint64_t>(info.st_size);
  const bool is_same = known.is_settled && known.changed_ns == ns_of(info.st_ctim) &&
                       known.written_ns == ns_of(info.st_mtim) && known.size == size &&
                       known.inode == info.st_ino;
  if (is_same) return false;
  known.changed_ns = ns_of(info.st_ctim);
  known.written_ns = ns_of(info.st_mtim);
  known.size = size;
  known.inode = info.st_ino;
  known.is_settled = wall_now() - timestamp_from_ns(known.changed_ns) > kSettledAfter;
  const std::vector<std::string> errors_before = std::exchange(known.errors, {});
  if (const std::string why = distrust(info); !why.empty()) {
    known.errors.push_back(path + ": " + why);
  } else {
    read(path, known);
  }
  if (known.errors.empty() && !errors_before.empty()) news_.mended.push_back(path);
  if (!known.errors.empty() && known.errors != errors_before) {
    news_.bad.push_back(known.errors.front());
  }
  return true;
}

std::unique_ptr<TenantDirectory> TenantDirectory::with_egress(
    std::shared_ptr<const AddressRanges> egress_allowed) const {
  auto other = std::make_unique<TenantDirectory>(*this);
  other->egress_allowed_ = std::move(egress_allowed);
  for (auto& [path, known] : other->known_) {
    if (known.good == nullptr) continue;
    TenantFile file = *known.good;
    for (DestinationConfig& destination : file.destinations) {
      destination.egress_allowed = other->egress_allowed_;
    }
    known.good = std::make_shared<const TenantFile>(std::move(file));
  }
  return other;
}

void TenantDirectory::read(const std::string& path, Known& known) {
  const auto text = read_file(path, kTenantFileBytesMax);
  if (!text) {
    known.errors.push_back(text.error().message());
    return;
  }
  TenantReport report = check_tenant_file(*text, path, destination_types());
  for (const ConfigProblem& problem : report.errors) {
    known.errors.push_back(problem_line(path, problem));
  }
  if (!report.file) return;
  for (DestinationConfig& destination : report.file->destinations) {
    destination.egress_allowed = egress_allowed_;
  }
  known.good = std::make_shared<const TenantFile>(*std::move(report.file));
}

std::vector<TenantFilePtr> TenantDirectory::files() const {
  std::vector<TenantFilePtr> files;
  for (const auto& [path, known] : known_) {
    if (known.good != nullptr) files.push_back(known.good);
  }
  return files;
}

std::vector<std::string> TenantDirectory::problems() const {
  std::vector<std::string> problems;
  for (const auto& [path, known] : known_) {
    problems.insert(problems.end(), known.errors.begin(), known.errors.end());
  }
  return problems;
}

TenantDirectory::News TenantDirectory::take_news() {
  return std::exchange(news_, {});
}

}  // namespace sidecast
