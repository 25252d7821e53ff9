// What Ring and RingDirectory share; private to reader.cc and ring_directory.cc.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <unistd.h>

#include "shm/bus_guard.h"
#include "shm/lane.h"
#include "shm/reader.h"
#include "shm/ring_file.h"

namespace sidecast::shm {

// The directory's descriptor, kept open as long as a ring may need to be unlinked.
class DirectoryHandle {
 public:
  explicit DirectoryHandle(int descriptor) noexcept : descriptor_(descriptor) {}
  ~DirectoryHandle() { close(descriptor_); }
  DirectoryHandle(const DirectoryHandle&) = delete;
  DirectoryHandle& operator=(const DirectoryHandle&) = delete;
  [[nodiscard]] int get() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

struct Ring::Impl {
  // Null and `outcome`, `reason` if it is none of ours.
  static std::unique_ptr<Impl> open(std::shared_ptr<DirectoryHandle> directory,
                                    const std::string& name, Access access, RingOpen& outcome,
                                    std::string& reason);
  ~Impl();

  void set_switched_off(bool is_off) noexcept;
  [[nodiscard]] RingHeader& header() const noexcept {
    return *reinterpret_cast<RingHeader*>(mapping.base());
  }

  std::shared_ptr<DirectoryHandle> directory;
  Access access = Access::kEngine;
  RingInfo ring_info;
  mutable GuardedMapping mapping;
  std::vector<LaneReader> lanes;
  int lock = -1;
  bool is_lock_held = false;
  bool is_removed = false;
};

// Files of a ring that was never finished, its writer dead: unlinks them. `lock_name` is the name
// of a lock file without a ring.
void remove_unfinished(int directory, const std::string& lock_name) noexcept;

}  // namespace sidecast::shm
