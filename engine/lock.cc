#include "engine/lock.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "engine/base/log.h"

namespace sidecast {

Result<std::optional<EngineLock>> EngineLock::take(const std::string& path,
                                                   const std::atomic<bool>& stop) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return fail(
        fmt::format("open {}: {}", path,
                    std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe): starting thread only
  bool said = false;
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (stop.load(std::memory_order_relaxed)) {
      close(fd);
      log_info("stopped while waiting for the engine that serves this directory");
      return std::nullopt;
    }
    if (!said) log_info("another engine serves this directory; waiting for {}", path);
    said = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return std::optional<EngineLock>(EngineLock(fd));
}

EngineLock::EngineLock(EngineLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

EngineLock::~EngineLock() {
  if (fd_ >= 0) close(fd_);  // the lock goes with it
}

}  // namespace sidecast
