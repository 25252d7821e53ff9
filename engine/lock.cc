#include "engine/lock.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/ledger/ledger.h"

namespace sidecast {
namespace {

constexpr std::chrono::milliseconds kPoll{100};

// The holder's line in /proc/locks: "1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF".
std::optional<pid_t> holder_in_table(const struct stat& file) {
  const std::string wanted =
      fmt::format("{:02x}:{:02x}:{}", major(file.st_dev), minor(file.st_dev), file.st_ino);
  std::ifstream table("/proc/locks");
  for (std::string line; std::getline(table, line);) {
    std::istringstream words(line);
    std::string number;
    std::string kind;
    std::string advice;
    std::string mode;
    std::string place;
    pid_t pid = 0;
    words >> number >> kind >> advice >> mode >> pid >> place;
    if (kind == "FLOCK" && place == wanted && pid > 0) return pid;
  }
  return std::nullopt;
}

// Ends a process by SIGKILL if, once it cannot be mistaken for another one, it still holds the
// lock.
Status kill_holder(const std::string& path, pid_t pid) {
  const auto failed = [pid](int error) {
    return fail(fmt::format("kill process {}: {}", pid, std::generic_category().message(error)));
  };
  const auto descriptor = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (descriptor < 0) return failed(errno);
  Status killed;
  if (lock_holder(path) != pid) {
    killed = fail(fmt::format("process {} does not hold {} any more", pid, path));
  } else if (syscall(SYS_pidfd_send_signal, descriptor, SIGKILL, nullptr, 0) != 0) {
    killed = failed(errno);
  }
  close(descriptor);
  return killed;
}

// Watches the heartbeat of the engine that has the lock. What counts is that it stands still while
// we watch: the clocks of two processes need not agree.
class HangWatch {
 public:
  HangWatch(const std::string& lock, const EngineLock::Takeover& takeover)
      : lock_(lock), takeover_(takeover) {}

  // Kills the holder when it hangs.
  void look(Instant now) {
    if (takeover_.after.count() == 0 || now < next_look_) return;
    next_look_ = now + std::min<Instant::duration>(takeover_.after / 4, std::chrono::seconds(1));
    const std::optional<pid_t> holder = lock_holder(lock_);
    const std::int64_t beat = last_heartbeat_ns(takeover_.ledger);
    if (!holder || *holder != holder_ || beat != beat_) {
      holder_ = holder.value_or(kNobody);
      beat_ = beat;
      since_ = now;
      return;
    }
    if (now - since_ < takeover_.after) return;
    since_ = now;  // what cannot be killed is tried again after as long
    if (*holder == 0) {
      log_error("the engine that serves this directory hangs and is no process we can see; end it");
      return;
    }
    if (const Status killed = kill_holder(lock_, *holder); !killed) {
      log_error("take over from an engine that hangs: {}", killed.error().message());
      return;
    }
    log_warning(
        "the engine that served this directory, process {}, hung: no heartbeat for {} ms; "
        "it was killed, and this one takes over",
        *holder, takeover_.after.count());
  }

 private:
  const std::string& lock_;
  const EngineLock::Takeover& takeover_;
  // No optional: g++ 12 takes that for a value that was never set, when it optimises.
  static constexpr pid_t kNobody = -1;
  pid_t holder_ = kNobody;
  std::int64_t beat_ = 0;
  Instant since_{};
  Instant next_look_{};
};

}  // namespace

Result<std::optional<EngineLock>> EngineLock::take(const std::string& path,
                                                   const Takeover& takeover,
                                                   const std::atomic<bool>& stop) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return fail(
        fmt::format("open {}: {}", path,
                    std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe): starting thread only
  bool said = false;
  HangWatch watch(path, takeover);
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (stop.load(std::memory_order_relaxed)) {
      close(fd);
      log_info("stopped while waiting for the engine that serves this directory");
      return std::nullopt;
    }
    if (!said) log_info("another engine serves this directory; waiting for {}", path);
    said = true;
    watch.look(monotonic_now());
    std::this_thread::sleep_for(kPoll);
  }
  return std::optional<EngineLock>(EngineLock(fd));
}

EngineLock::EngineLock(EngineLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

EngineLock::~EngineLock() {
  if (fd_ >= 0) close(fd_);  // the lock goes with it
}

std::optional<pid_t> lock_holder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return std::nullopt;
  std::optional<pid_t> holder;
  struct stat file {};
  if (fstat(fd, &file) == 0) holder = holder_in_table(file);
  // A shared lock that we can have for a moment proves that nobody has the exclusive one.
  if (!holder && flock(fd, LOCK_SH | LOCK_NB) != 0) holder = 0;
  close(fd);
  return holder;
}

}  // namespace sidecast
