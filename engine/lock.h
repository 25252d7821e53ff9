// The engine's lock: one engine per ring directory. A second one waits for it, so that an upgrade
// has no gap: gateways go on writing meanwhile.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "engine/base/result.h"

namespace sidecast {

class EngineLock {
 public:
  // Waits until the lock is ours; nothing when `stop` ended the wait.
  [[nodiscard]] static Result<std::optional<EngineLock>> take(const std::string& path,
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

}  // namespace sidecast
