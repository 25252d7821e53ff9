// Finding rings: inotify tells of new names at once, a full scan now and then finds what it missed,
// retries what could not be opened and sweeps up what crashed writers left half-made.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "shm/reader.h"
#include "shm/reader_impl.h"
#include "shm/settings.h"

namespace sidecast::shm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kScanEvery{5};

// Gateways may create and enter, but neither list nor remove each other's (sticky); what they
// create belongs to the engine's group (set-group-id).
constexpr mode_t kDirectoryMode = 03733;

// Bounds the memory a hostile gateway can make us spend on names of files that are no rings.
constexpr std::size_t kQuarantinedMax = 1000;

bool ends_with(std::string_view text, std::string_view end) noexcept {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}
bool is_ring_name(std::string_view name) noexcept {
  return !name.empty() && name.front() != '.' && ends_with(name, kRingSuffix);
}
bool is_lock_name(std::string_view name) noexcept {
  return ends_with(name, std::string(kRingSuffix) + kLockSuffix);
}

}  // namespace

struct RingDirectory::Impl {
  Impl(std::string directory_path, int descriptor, Access wanted)
      : path(std::move(directory_path)),
        directory(std::make_shared<DirectoryHandle>(descriptor)),
        access(wanted),
        watch(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    // Without inotify (its instances are limited per user) the scans alone find the rings, later.
    if (watch < 0) return;
    if (inotify_add_watch(watch, path.c_str(), IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0) {
      close(watch);
      watch = -1;
    }
  }
  ~Impl() {
    if (watch >= 0) close(watch);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // Names of rings that inotify has reported; sets `is_scan_due` when it lost some.
  std::vector<std::string> read_events();
  std::vector<std::string> scan();
  void set_aside(const std::string& name, const std::string& reason);

  const std::string path;
  const std::shared_ptr<DirectoryHandle> directory;
  const Access access;
  int watch;
  bool is_scan_due = true;
  Clock::time_point next_scan{};
  bool is_switched_off = false;
  bool has_published = false;
  std::map<std::string, std::weak_ptr<Ring>> offered;  // by file name
  std::set<std::string> set_aside_names;               // never offered again
  std::vector<QuarantinedRing> quarantined;
};

std::vector<std::string> RingDirectory::Impl::read_events() {
  std::vector<std::string> names;
  if (watch < 0) return names;
  alignas(inotify_event) char events[16 << 10];
  // Bounded: a gateway that makes files without end must not keep us here; the rest comes next
  // time.
  for (int round = 0; round < 16; ++round) {
    const ssize_t bytes = read(watch, events, sizeof events);
    if (bytes <= 0) break;
    for (const char* at = events; at < events + bytes;) {
      inotify_event event;
      std::memcpy(&event, at, sizeof event);
      const char* const name = at + sizeof event;
      if ((event.mask & IN_Q_OVERFLOW) != 0) is_scan_due = true;
      if (event.len != 0 && is_ring_name(name)) names.emplace_back(name);
      at += sizeof event + event.len;
    }
  }
  return names;
}

std::vector<std::string> RingDirectory::Impl::scan() {
  std::vector<std::string> rings;
  std::vector<std::string> locks;
  const int copy = openat(directory->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const listing = copy >= 0 ? fdopendir(copy) : nullptr;
  if (listing == nullptr) {
    if (copy >= 0) close(copy);
    return rings;
  }
  // readdir is safe here: the stream is ours alone.
  while (const dirent* const entry = readdir(listing)) {  // NOLINT(concurrency-mt-unsafe)
    if (is_ring_name(entry->d_name)) rings.emplace_back(entry->d_name);
    if (is_lock_name(entry->d_name)) locks.emplace_back(entry->d_name);
  }
  closedir(listing);

  const std::set<std::string> present(rings.begin(), rings.end());
  const auto is_absent = [&](const std::string& name) { return !present.contains(name); };
  std::erase_if(offered, [&](const auto& entry) { return is_absent(entry.first); });
  std::erase_if(set_aside_names, is_absent);
  // What could not be opened is tried again below and reported again if it still cannot.
  std::erase_if(quarantined, [&](const QuarantinedRing& ring) {
    return !set_aside_names.contains(ring.file_name);
  });
  if (access == Access::kEngine) {
    for (const std::string& lock : locks) {
      const std::string ring = lock.substr(0, lock.size() - (sizeof kLockSuffix - 1));
      if (is_absent(ring)) remove_unfinished(directory->get(), lock);
    }
  }
  return rings;
}

void RingDirectory::Impl::set_aside(const std::string& name, const std::string& reason) {
  const auto known = std::find_if(quarantined.begin(), quarantined.end(),
                                  [&](const auto& ring) { return ring.file_name == name; });
  if (known != quarantined.end()) {
    known->reason = reason;
  } else if (quarantined.size() < kQuarantinedMax) {
    quarantined.push_back({name, reason});
  }
}

RingDirectory::RingDirectory(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RingDirectory::~RingDirectory() = default;

std::unique_ptr<RingDirectory> RingDirectory::open(const std::string& path, std::string& error,
                                                   Access access) {
  install_bus_guard();
  if (access == Access::kEngine && mkdir(path.c_str(), 0700) == 0) {
    // Whatever the umask. Only a directory that we made: an operator's own choice is kept.
    if (chmod(path.c_str(), kDirectoryMode) != 0) {
      error = "ring directory " + path + ": chmod: " + Reason::error_name(errno);
      return nullptr;
    }
  }
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0) {
    error = "ring directory " + path + ": " +
            (errno == ENOTDIR || errno == ELOOP ? "not a directory" : Reason::error_name(errno));
    return nullptr;
  }
  return std::unique_ptr<RingDirectory>(
      new RingDirectory(std::make_unique<Impl>(path, descriptor, access)));
}

const std::string& RingDirectory::path() const noexcept {
  return impl_->path;
}

bool RingDirectory::publish(const WriterSettings& settings, std::string& error) {
  if (impl_->access != Access::kEngine) {
    error = "settings page: opened for looking only";
    return false;
  }
  const SettingsPage page{.magic = kSettingsMagic,
                          .layout_version_min = kLayoutVersion,
                          .layout_version_max = kLayoutVersion,
                          .ring_bytes = settings.ring_bytes,
                          .record_bytes_max = settings.record_bytes_max,
                          .lanes = settings.lanes,
                          .switched_off = settings.switched_off ? 1u : 0u};
  impl_->has_published = true;
  impl_->is_switched_off = settings.switched_off;
  for (const auto& [name, offered] : impl_->offered) {
    if (const auto ring = offered.lock()) ring->impl_->set_switched_off(settings.switched_off);
  }
  return publish_settings(impl_->directory->get(), page, error);
}

std::vector<std::shared_ptr<Ring>> RingDirectory::discover() {
  std::vector<std::shared_ptr<Ring>> found;
  std::vector<std::string> names = impl_->read_events();
  const Clock::time_point now = Clock::now();
  if (impl_->is_scan_due || now >= impl_->next_scan) {
    impl_->is_scan_due = false;
    impl_->next_scan = now + kScanEvery;
    names = impl_->scan();
  }
  for (const std::string& name : names) {
    if (impl_->offered.contains(name) || impl_->set_aside_names.contains(name)) continue;
    RingOpen outcome = RingOpen::kOpened;
    std::string reason;
    auto opened = Ring::Impl::open(impl_->directory, name, impl_->access, outcome, reason);
    if (opened == nullptr) {
      if (outcome == RingOpen::kHostile) impl_->set_aside_names.insert(name);
      impl_->set_aside(name, reason);
      continue;
    }
    // An engine that has published nothing leaves the switch as the writer found it.
    if (impl_->has_published) opened->set_switched_off(impl_->is_switched_off);
    std::shared_ptr<Ring> ring(new Ring(std::move(opened)));
    impl_->offered.emplace(name, ring);
    found.push_back(std::move(ring));
  }
  return found;
}

const std::vector<QuarantinedRing>& RingDirectory::quarantined() const noexcept {
  return impl_->quarantined;
}

void RingDirectory::quarantine(const Ring& ring, const std::string& reason) {
  const std::string& name = ring.info().file_name;
  impl_->offered.erase(name);
  impl_->set_aside_names.insert(name);
  impl_->set_aside(name, reason);
}

}  // namespace sidecast::shm
