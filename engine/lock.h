// The engine's lock: one engine per ring directory. A second one waits for it, so that an upgrade
// has no gap: gateways go on writing meanwhile.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>

#include <sys/types.h>

#include "engine/base/result.h"

namespace sidecast {

class EngineLock {
 public:
  // How to wait for an engine that hangs. `ledger` is where its heartbeat stands.
  struct Takeover {
    std::string ledger;
    std::chrono::milliseconds after{0};  // without a heartbeat it is killed; 0 = never
  };
  // Waits until the lock is ours; nothing when `stop` ended the wait.
  [[nodiscard]] static Result<std::optional<EngineLock>> take(const std::string& path,
                                                              const Takeover& takeover,
                                                              const std::atomic<bool>& stop);
  EngineLock(EngineLock&& other) noexcept;
  EngineLock& operator=(EngineLock&&) = delete;
  EngineLock(const EngineLock&) = delete;
  EngineLock& operator=(const EngineLock&) = delete;
  ~EngineLock();

 private:
  explicit EngineLock(int fd) : fd_(fd) {}
  int fd_;
};

// The process that holds the lock, by the kernel's own table; 0: somebody holds it whom we cannot
// see (in another process namespace). Nothing: nobody does.
[[nodiscard]] std::optional<pid_t> lock_holder(const std::string& path);

}  // namespace sidecast
