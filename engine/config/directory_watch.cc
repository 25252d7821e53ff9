#include "engine/config/directory_watch.h"

#include <array>
#include <utility>

#include <sys/inotify.h>
#include <unistd.h>

namespace sidecast {

DirectoryWatch::DirectoryWatch(std::string directory) : directory_(std::move(directory)) {
  if (directory_.empty()) return;
  fd_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd_ < 0) return;
  constexpr std::uint32_t kChanges =
      IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_ONLYDIR;
  static_cast<void>(inotify_add_watch(fd_, directory_.c_str(), kChanges));
}

DirectoryWatch::~DirectoryWatch() {
  if (fd_ >= 0) close(fd_);
}

bool DirectoryWatch::take_changes() {
  if (fd_ < 0) return false;
  // Which files is not asked: whoever scans sees it by their time stamps.
  alignas(inotify_event) std::array<char, 16'384> events;
  bool any = false;
  while (::read(fd_, events.data(), events.size()) > 0) any = true;
  return any;
}

}  // namespace sidecast
