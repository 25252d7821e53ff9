// Rejected: moodycamel::ConcurrentQueue<std::string> to a thread of the gateway's own. It allocates
// for each record, and what it holds dies with the gateway.
#include <atomic>
#include <chrono>
#include <thread>

#include <concurrentqueue/concurrentqueue.h>

#include "bench/shm/table.h"
#include "bench/shm/workload.h"

namespace sidecast::shm {

void measure_string_queue() {
  const std::string record = payload(Workload(2048).record_bytes());
  moodycamel::ConcurrentQueue<std::string> queue;
  std::atomic<bool> is_over{false};
  std::thread engine([&] {
    std::string taken;
    while (!is_over.load(std::memory_order_relaxed)) {
      while (queue.try_dequeue(taken)) {
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  const std::size_t count = scaled(50'000);
  Samples samples(count);
  for (std::size_t i = 0; i < count; ++i) {
    samples.time([&] { static_cast<void>(queue.enqueue(record)); });
    spin_ns(1000);
  }
  is_over.store(true, std::memory_order_relaxed);
  engine.join();
  print_row("moodycamel::ConcurrentQueue<std::string>", 0, samples.quantiles(), 0);
}

}  // namespace sidecast::shm
