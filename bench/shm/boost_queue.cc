// Rejected: boost::interprocess::message_queue. It sorts under a mutex in shared memory: a writer
// waits for the reader and for other writers, and one that is killed inside leaves the mutex
// locked.
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include <boost/interprocess/ipc/message_queue.hpp>
#include <unistd.h>

#include "bench/shm/table.h"
#include "bench/shm/workload.h"

namespace sidecast::shm {

void measure_boost_queue() {
  namespace ipc = boost::interprocess;
  const std::string record = payload(Workload(2048).record_bytes());
  const std::string name = "sidecast-bench-" + std::to_string(getpid());
  constexpr std::size_t kMessages = 4096;
  auto queue = std::make_unique<ipc::message_queue>(ipc::create_only, name.c_str(), kMessages,
                                                    record.size());
  ipc::message_queue::remove(name.c_str());  // the mapping is enough
  std::atomic<bool> is_over{false};
  std::thread engine([&] {
    std::string taken(record.size(), '\0');
    while (!is_over.load(std::memory_order_relaxed)) {
      ipc::message_queue::size_type size = 0;
      unsigned priority = 0;
      while (queue->try_receive(taken.data(), taken.size(), size, priority)) {
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  const std::size_t count = scaled(50'000);
  Samples samples(count);
  for (std::size_t i = 0; i < count; ++i) {
    samples.time([&] { static_cast<void>(queue->try_send(record.data(), record.size(), 0)); });
    spin_ns(1000);
  }
  is_over.store(true, std::memory_order_relaxed);
  engine.join();
  print_row("boost::interprocess::message_queue", 0, samples.quantiles(), 0);
}

}  // namespace sidecast::shm
