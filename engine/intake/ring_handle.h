// A ring as the engine's threads share it: its lanes are spread over the workers, and housekeeping
// removes it once all of them are done.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "shm/reader.h"

namespace sidecast {

struct RingHandle {
  explicit RingHandle(std::shared_ptr<shm::Ring> opened)
      : ring(std::move(opened)), lanes_open(ring->info().lanes) {}

  std::shared_ptr<shm::Ring> ring;
  // Writer: housekeeping. The owner is dead: a lane found empty after this was seen is at its end.
  std::atomic<bool> retired{false};
  // Writer: a worker that found something that cannot be true. Lanes are given up where they stand.
  std::atomic<bool> hostile{false};
  // Writers: workers, one count down per lane they are done with.
  std::atomic<std::uint32_t> lanes_open;
};
using RingHandlePtr = std::shared_ptr<RingHandle>;

}  // namespace sidecast
