// One thread writes: against the floor, with caches warm and cold, with an engine draining, into a
// full ring and without a ring.
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "bench/shm/table.h"
#include "bench/shm/workload.h"

namespace sidecast::shm {
namespace {

constexpr int kRepetitions = 7;

enum class Caches : std::uint8_t { kWarm, kCold };

struct Paired {
  Quantiles floor;
  Quantiles write;
  double p50_ratio = 0;
  double p99_ratio = 0;
};

class Pairs {
 public:
  void add(Samples& floors, Samples& writes) {
    floors_.push_back(floors.quantiles());
    writes_.push_back(writes.quantiles());
    p50_ratios_.push_back(writes_.back().p50_ns / std::max(floors_.back().p50_ns, 0.1));
    p99_ratios_.push_back(writes_.back().p99_ns / std::max(floors_.back().p99_ns, 0.1));
  }
  [[nodiscard]] Paired result() const {
    return {median_of(floors_), median_of(writes_), median(p50_ratios_), median(p99_ratios_)};
  }

 private:
  std::vector<Quantiles> floors_;
  std::vector<Quantiles> writes_;
  std::vector<double> p50_ratios_;
  std::vector<double> p99_ratios_;
};

void expect_ok(sidecast_status status) {
  if (status != SIDECAST_OK) throw std::runtime_error("a write was refused");
}

// The ring is emptied between timed writes, by this thread.
Paired pair(std::size_t bytes, Caches caches, Stores stores, bool with_clock) {
  Workload workload(bytes);
  const ScratchDirectory scratch;
  const WriterHandle writer(scratch.path(), kBenchRingBytes, 0);
  const auto directory = open_directory(scratch.path());
  const auto ring = open_only_ring(*directory);
  Floor floor(workload.record_bytes(), home_lane_bytes(writer));
  const std::size_t between_drains = std::max<std::size_t>((1u << 20) / workload.record_bytes(), 1);
  const std::size_t count = scaled(caches == Caches::kCold ? 200 : bytes > 100'000 ? 1500 : 30'000);
  Pairs pairs;
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    Samples floors(count);
    Samples writes(count);
    for (std::size_t i = 0; i < count; ++i) {
      if (i % between_drains == 0) drain_all(*ring);
      if (caches == Caches::kCold) chill();
      floors.time([&] { floor.copy(); }, stores);
      if (caches == Caches::kCold) chill();
      writes.time(
          [&] {
            if (with_clock) workload.sample.c.end_ns = now_ns();
            expect_ok(writer.write(workload.sample));
          },
          stores);
    }
    pairs.add(floors, writes);
  }
  return pairs.result();
}

// Another thread drains about once a millisecond, as the engine does under load, and the gateway
// does something else between two requests.
Paired pair_while_draining(std::size_t bytes) {
  Workload workload(bytes);
  const ScratchDirectory scratch;
  const WriterHandle writer(scratch.path(), kBenchRingBytes, 0);
  const auto directory = open_directory(scratch.path());
  const auto ring = open_only_ring(*directory);
  Floor floor(workload.record_bytes(), home_lane_bytes(writer));
  const std::size_t count = scaled(20'000);
  std::atomic<bool> is_over{false};
  std::thread engine([&] {
    while (!is_over.load(std::memory_order_relaxed)) {
      drain_all(*ring);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  Pairs pairs;
  std::size_t refused = 0;
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    Samples floors(count);
    Samples writes(count);
    for (std::size_t i = 0; i < count; ++i) {
      floors.time([&] { floor.copy(); });
      spin_ns(1000);
      writes.time([&] {
        if (writer.write(workload.sample) != SIDECAST_OK) ++refused;
      });
      spin_ns(1000);
    }
    pairs.add(floors, writes);
  }
  is_over.store(true, std::memory_order_relaxed);
  engine.join();
  // Shed or dropped: the engine was kept from its core. A few do not move a quantile.
  if (refused > count / 1000) std::printf("(%zu writes shed or dropped)\n", refused);
  return pairs.result();
}

// One refusal is too short to be timed alone.
Quantiles time_refusals(const WriterHandle& writer, const Workload& workload) {
  constexpr int kBatch = 16;
  std::vector<Quantiles> all;
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    Samples samples(scaled(20'000));
    for (std::size_t i = 0; i < scaled(20'000); ++i) {
      samples.time([&] {
        for (int n = 0; n < kBatch; ++n) {
          if (writer.write(workload.sample) == SIDECAST_OK) throw std::runtime_error("not refused");
        }
      });
    }
    all.push_back(samples.quantiles(kBatch));
  }
  return median_of(all);
}

std::string size_name(std::size_t bytes) {
  if (bytes == 0) return "no bodies, clock included";
  return std::to_string(bytes >> 10) + " KB";
}

void print_pairs(Caches caches) {
  for (const std::size_t bytes : {0u, 2048u, 16384u, 262144u}) {
    const Paired paired = pair(bytes, caches, Stores::kDrained, bytes == 0);
    Promise promise;
    if (caches == Caches::kWarm) {
      promise = bytes == 0      ? Promise{"p50 <= 60 ns", paired.write.p50_ns, 60}
                : bytes == 2048 ? Promise{"p50 <= 1.3 x floor", paired.p50_ratio, 1.3}
                                : Promise{"p50 <= 1.2 x floor", paired.p50_ratio, 1.2};
    }
    print_row(size_name(bytes) + (caches == Caches::kWarm ? ", warm" : ", cold"),
              paired.floor.p50_ns, paired.write, paired.p50_ratio, promise);
  }
}

}  // namespace

void measure_single_writer() {
  print_heading("One writer");
  print_pairs(Caches::kWarm);
  print_pairs(Caches::kCold);
  const Paired in_flight = pair(2048, Caches::kWarm, Stores::kInFlight, false);
  print_row("2 KB, warm, stores left in flight", in_flight.floor.p50_ns, in_flight.write,
            in_flight.p50_ratio);
  const Paired draining = pair_while_draining(2048);
  print_row("2 KB, engine draining", draining.floor.p50_ns, draining.write, draining.p50_ratio,
            {"p50 <= 1.3 x floor", draining.p50_ratio, 1.3});
  print_row("2 KB, engine draining, by its p99", draining.floor.p99_ns, draining.write,
            draining.p99_ratio, {"p99 <= 2 x floor", draining.p99_ratio, 2});
  for (const std::size_t bytes : {0u, 2048u}) {
    const Workload workload(bytes);
    const ScratchDirectory scratch;
    const WriterHandle writer(scratch.path(), 1u << 20, 0);
    while (writer.write(workload.sample) != SIDECAST_DROPPED_FULL) {
    }
    const Quantiles taken = time_refusals(writer, workload);
    print_row(bytes == 0 ? "drop when full, no bodies" : "drop when full, 2 KB", 0, taken, 0,
              {"p50 <= 10 ns", taken.p50_ns, 10});
  }
  const WriterHandle disabled("/nowhere/at/all");
  print_row("no ring", 0, time_refusals(disabled, Workload(2048)), 0);
}

}  // namespace sidecast::shm
