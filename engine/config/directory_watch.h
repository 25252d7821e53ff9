// Tells when files of a directory were written, added or removed (inotify). It may miss changes (a
// network file system, a full queue): who uses it looks by himself now and then.
// Threads: belongs to one thread.
#pragma once

#include <string>

namespace sidecast {

class DirectoryWatch {
 public:
  // Empty or impossible to watch: nothing is ever seen.
  explicit DirectoryWatch(std::string directory);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

  [[nodiscard]] const std::string& directory() const noexcept { return directory_; }
  // Something happened since the last call. Does not wait.
  [[nodiscard]] bool take_changes();

 private:
  std::string directory_;
  int fd_ = -1;
};

}  // namespace sidecast
