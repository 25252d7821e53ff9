// Rejected: an engine that spins on the heads. Each publish then pulls the head's cache line back
// from the engine's core, and the record's own lines after it.
#include <atomic>
#include <thread>

#include "bench/shm/table.h"
#include "bench/shm/workload.h"

namespace sidecast::shm {

void measure_chasing_reader() {
  Workload workload(2048);
  const ScratchDirectory scratch;
  const WriterHandle writer(scratch.path(), kBenchRingBytes, 0);
  const auto directory = open_directory(scratch.path());
  const auto ring = open_only_ring(*directory);
  std::atomic<bool> is_over{false};
  std::thread engine([&] {
    while (!is_over.load(std::memory_order_relaxed)) drain_all(*ring);
  });
  const std::size_t count = scaled(50'000);
  Samples samples(count);
  for (std::size_t i = 0; i < count; ++i) {
    samples.time([&] { static_cast<void>(writer.write(workload.sample)); });
    spin_ns(1000);
  }
  is_over.store(true, std::memory_order_relaxed);
  engine.join();
  print_row("our ring, chasing reader", 0, samples.quantiles(), 0);
}

}  // namespace sidecast::shm
