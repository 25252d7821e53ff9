// Rejected: one ring that all threads share. A writer reserves room by compare-and-swap, copies,
// and commits by setting its record's state. Writers pull the reserve word's line back and forth,
// and a writer killed between reserve and commit wedges the ring for ever; a lane of one's own has
// neither fault.
#include <atomic>
#include <thread>

#include "bench/shm/table.h"
#include "bench/shm/workload.h"

namespace sidecast::shm {
namespace {

class SharedRing {
 public:
  SharedRing() : slots_(kSlots) {}

  // False: full.
  bool write(const char* bytes, std::size_t size) noexcept {
    std::uint64_t position = reserved_.load(std::memory_order_relaxed);  // checked by the exchange
    do {
      // acquire: pairs with the store in drain(). The slot has been read.
      if (position - drained_.load(std::memory_order_acquire) >= kSlots) return false;
    } while (!reserved_.compare_exchange_weak(position, position + 1, std::memory_order_relaxed));
    Slot& slot = slots_[position % kSlots];
    slot.size = std::min(size, sizeof slot.bytes);
    std::memcpy(slot.bytes, bytes, slot.size);
    // release: pairs with the acquire load in drain().
    slot.committed.store(position + 1, std::memory_order_release);
    return true;
  }
  void drain() {
    std::uint64_t position = drained_.load(std::memory_order_relaxed);  // ours alone
    for (;;) {
      Slot& slot = slots_[position % kSlots];
      if (slot.committed.load(std::memory_order_acquire) != position + 1) break;  // see write()
      out_.assign(slot.bytes, slot.size);
      drained_.store(++position, std::memory_order_release);  // see write()
    }
  }

 private:
  static constexpr std::size_t kSlots = 4096;
  struct Slot {
    std::atomic<std::uint64_t> committed{0};
    std::size_t size = 0;
    char bytes[2544];
  };
  std::vector<Slot> slots_;
  alignas(128) std::atomic<std::uint64_t> reserved_{0};
  alignas(128) std::atomic<std::uint64_t> drained_{0};
  std::string out_;
};

Quantiles run(std::size_t threads, double pause_ns) {
  SharedRing ring;
  const std::string record = payload(Workload(2048).record_bytes());
  const std::size_t count = scaled(25'000);
  std::atomic<bool> is_over{false};
  std::thread engine([&] {
    while (!is_over.load(std::memory_order_relaxed)) {
      ring.drain();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  std::vector<Samples> samples;
  for (std::size_t i = 0; i < threads; ++i) samples.emplace_back(count);
  std::vector<std::thread> writers;
  for (std::size_t i = 0; i < threads; ++i) {
    writers.emplace_back([&, i] {
      for (std::size_t n = 0; n < count; ++n) {
        samples[i].time([&] { static_cast<void>(ring.write(record.data(), record.size())); });
        spin_ns(pause_ns);
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  is_over.store(true, std::memory_order_relaxed);
  engine.join();
  Samples all(count * threads);
  for (const Samples& some : samples) all.append(some);
  return all.quantiles();
}

}  // namespace

void measure_shared_ring() {
  print_row("reserve and commit, 1 thread", 0, run(1, 1000), 0);
  print_row("reserve and commit, 2 threads", 0, run(2, 1000), 0);
  print_row("reserve and commit, 8 threads", 0, run(8, 16'000), 0);
}

}  // namespace sidecast::shm
