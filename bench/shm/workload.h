// What a benchmark writes, the memcpy that it is held against, and the engine's side of a ring.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include "bench/shm/timing.h"
#include "shm/encode.h"
#include "tests/unit/shm/ring_fixture.h"

namespace sidecast::shm {

inline constexpr std::uint64_t kBenchRingBytes = 16u << 20;

inline std::string payload(std::size_t bytes) {
  std::mt19937_64 random(42);
  std::string text(bytes, ' ');
  for (char& character : text) character = static_cast<char>(' ' + random() % 95);
  return text;
}

// A record with bodies of `bytes` in all, half of it request, half response. Not to be copied: it
// points into itself.
struct Workload {
  explicit Workload(std::size_t bytes)
      : body(payload(bytes)), half(bytes / 2), sample("gen-01J9ZQ0000000000000000", {}, {}) {
    sidecast_generation& g = sample.c;
    g.account = text("acme");
    g.api_key_id = text("key-42");
    g.operation = text("chat");
    g.provider = text("openai");
    g.model_requested = text("gpt-4o-mini");
    g.endpoint = text("/v1/chat/completions");
    request = {body.data(), half};
    response = {body.data() + half, bytes - half};
    if (bytes != 0) {
      g.request = {&request, 1};
      g.response = {&response, 1};
    }
  }
  [[nodiscard]] std::uint64_t record_bytes() const { return measure(sample.c).whole_bytes; }

  std::string body;
  std::size_t half;
  sidecast_slice request{};
  sidecast_slice response{};
  SampleGeneration sample;
};

// What a single thread's records walk around in: its lane, one of those that share half of the
// ring.
inline std::size_t home_lane_bytes(const WriterHandle& writer) {
  return kBenchRingBytes / 2 / (writer.counters().lanes - 1);
}

// The floor: a record's bytes, whatever they are, copied to the next place of a shared mapping as
// large as a ring. Goes around in its first `walked_bytes`, so that caches help it as they help the
// writer.
class Floor {
 public:
  Floor(std::size_t record_bytes, std::size_t walked_bytes)
      : source_(payload(record_bytes)), walked_bytes_(walked_bytes) {
    const int file = memfd_create("floor", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, kBenchRingBytes) != 0) throw std::runtime_error("memfd");
    void* const memory =
        mmap(nullptr, kBenchRingBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
    close(file);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap");
    mapping_ = static_cast<char*>(memory);
  }
  ~Floor() { munmap(mapping_, kBenchRingBytes); }
  Floor(const Floor&) = delete;
  Floor& operator=(const Floor&) = delete;

  void copy() noexcept {
    std::memcpy(mapping_ + offset_, source_.data(), source_.size());
    offset_ += source_.size();
    if (offset_ + source_.size() > walked_bytes_) offset_ = 0;
  }

 private:
  std::string source_;
  std::size_t walked_bytes_;
  char* mapping_ = nullptr;
  std::size_t offset_ = 0;
};

inline std::shared_ptr<Ring> open_only_ring(RingDirectory& directory) {
  const auto rings = directory.discover();
  if (rings.size() != 1) throw std::runtime_error("not one ring");
  return rings[0];
}

// Copies every record out and gives the room back; what is done with them is the engine's business.
inline void drain_all(Ring& ring) {
  static thread_local std::string bytes;
  for (std::uint32_t lane = 0; lane < ring.info().lanes; ++lane) {
    LaneCursor cursor = ring.released(lane);
    while (ring.peek(lane, cursor, bytes) == PeekStatus::kRecord) {
    }
    ring.release(lane, cursor);
  }
}

}  // namespace sidecast::shm
