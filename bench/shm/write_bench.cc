// What does a write cost a gateway, against copying the same bytes with memcpy into a mapping of
// the same size?
//
// Every operation is timed alone with the time stamp counter, whose own cost is measured and taken
// off; p50, p99 and p99.9 are over all operations of a run. Where the ring would fill, the engine's
// side drains it: in the same thread between timed batches, or in another (`draining`).
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "shm/encode.h"
#include "tests/unit/shm/ring_fixture.h"

namespace sidecast::shm {
namespace {

constexpr std::uint64_t kRingBytes = 16u << 20;

// ---- Clock
// -----------------------------------------------------------------------------------------

inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  unsigned aux = 0;
  const std::uint64_t now = __builtin_ia32_rdtscp(&aux);
  __builtin_ia32_lfence();
  return now;
#else
  std::uint64_t now = 0;
  asm volatile("isb; mrs %0, cntvct_el0" : "=r"(now));
  return now;
#endif
}

// Nanoseconds per tick, and what an empty measurement reads: both measured, once.
struct TickScale {
  double ns_per_tick = 1;
  std::uint64_t empty_ticks = 0;
};

const TickScale& tick_scale() {
  static const TickScale scale = [] {
    using Clock = std::chrono::steady_clock;
    TickScale measured;
    std::vector<std::uint64_t> empty(10'001);
    for (std::uint64_t& sample : empty) {
      const std::uint64_t start = ticks();
      sample = ticks() - start;
    }
    std::nth_element(empty.begin(), empty.begin() + 5000, empty.end());
    measured.empty_ticks = empty[5000];
    const auto wall_start = Clock::now();
    const std::uint64_t start = ticks();
    while (Clock::now() - wall_start < std::chrono::milliseconds(50)) {
    }
    const std::chrono::duration<double, std::nano> wall = Clock::now() - wall_start;
    measured.ns_per_tick = wall.count() / static_cast<double>(ticks() - start);
    return measured;
  }();
  return scale;
}

class Samples {
 public:
  explicit Samples(std::size_t capacity = 1u << 21) { ticks_.reserve(capacity); }
  void add(std::uint64_t taken) {
    const std::uint64_t empty = tick_scale().empty_ticks;
    ticks_.push_back(static_cast<std::uint32_t>(taken > empty ? taken - empty : 0));
  }
  [[nodiscard]] bool is_full() const { return ticks_.size() == ticks_.capacity(); }
  void append(const Samples& other) {
    ticks_.insert(ticks_.end(), other.ticks_.begin(), other.ticks_.end());
  }
  [[nodiscard]] double quantile_ns(double quantile) {
    if (ticks_.empty()) return 0;
    const auto index = static_cast<std::size_t>(quantile * static_cast<double>(ticks_.size() - 1));
    std::nth_element(ticks_.begin(), ticks_.begin() + static_cast<std::ptrdiff_t>(index),
                     ticks_.end());
    return ticks_[index] * tick_scale().ns_per_tick;
  }
  void report(benchmark::State& state) {
    state.counters["p50_ns"] = quantile_ns(0.50);
    state.counters["p99_ns"] = quantile_ns(0.99);
    state.counters["p99.9_ns"] = quantile_ns(0.999);
  }

 private:
  std::vector<std::uint32_t> ticks_;
};

// Walks over more memory than the second-level cache holds, so that what follows starts cold.
void chill() {
  static std::vector<char> memory(8u << 20);
  for (std::size_t at = 0; at < memory.size(); at += 64) ++memory[at];
  benchmark::ClobberMemory();
}

std::string payload(std::size_t bytes) {
  std::mt19937_64 random(42);
  std::string text(bytes, ' ');
  for (char& character : text) character = static_cast<char>(' ' + random() % 95);
  return text;
}

// The clock is part of a gateway's work: it reads it when a request ends.
std::int64_t now_ns() noexcept {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// A record of `bytes` in all: request and response share what the fixed fields leave.
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

// The floor: the record's bytes, whatever they are, copied into the next place of a shared mapping
// as large as a ring.
void floor(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  const bool is_cold = state.range(1) != 0;
  const std::size_t record_bytes = Workload(bytes).record_bytes();
  const int file = memfd_create("floor", MFD_CLOEXEC);
  if (ftruncate(file, kRingBytes) != 0) return state.SkipWithError("ftruncate");
  char* const mapping = static_cast<char*>(
      mmap(nullptr, kRingBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0));
  const std::string source = payload(record_bytes);
  Samples samples;
  std::size_t offset = 0;
  for (auto _ : state) {
    if (offset + record_bytes > kRingBytes) offset = 0;
    if (is_cold) chill();
    const std::uint64_t start = ticks();
    std::memcpy(mapping + offset, source.data(), record_bytes);
    benchmark::ClobberMemory();
    const std::uint64_t taken = ticks() - start;
    if (!samples.is_full()) samples.add(taken);
    offset += record_bytes;
  }
  munmap(mapping, kRingBytes);
  close(file);
  samples.report(state);
}

void drain_all(Ring& ring) {
  // Looks at nothing but positions: what a drain costs is the engine's business.
  static thread_local std::string bytes;
  for (std::uint32_t lane = 0; lane < ring.info().lanes; ++lane) {
    LaneCursor cursor = ring.released(lane);
    while (ring.peek(lane, cursor, bytes) == PeekStatus::kRecord) {
    }
    ring.release(lane, cursor);
  }
}

// One thread writes; the ring is emptied between timed writes.
void write(benchmark::State& state) {
  Workload workload(static_cast<std::size_t>(state.range(0)));
  const bool is_cold = state.range(1) != 0;
  const ScratchDirectory scratch;
  const WriterHandle writer(scratch.path(), kRingBytes, 0);
  const auto directory = open_directory(scratch.path());
  const auto ring = directory->discover().at(0);
  const std::uint64_t between_drains = kRingBytes / 4 / workload.record_bytes();
  Samples samples;
  std::uint64_t since_drain = 0;
  std::uint64_t refused = 0;
  for (auto _ : state) {
    if (++since_drain >= between_drains) {
      drain_all(*ring);
      since_drain = 0;
    }
    if (is_cold) chill();
    const std::uint64_t start = ticks();
    workload.sample.c.end_ns = now_ns();
    const sidecast_status status = writer.write(workload.sample);
    benchmark::ClobberMemory();
    const std::uint64_t taken = ticks() - start;
    if (!samples.is_full()) samples.add(taken);
    if (status != SIDECAST_OK) ++refused;
  }
  if (refused != 0) state.SkipWithError("a write was refused");
  samples.report(state);
}

// One thread writes at a gateway's pace while another process's engine drains as it does under
// load, about once a millisecond.
void write_draining(benchmark::State& state) {
  Workload workload(static_cast<std::size_t>(state.range(0)));
  const ScratchDirectory scratch;
  const WriterHandle writer(scratch.path(), kRingBytes, 0);
  const auto directory = open_directory(scratch.path());
  const auto ring = directory->discover().at(0);
  std::atomic<bool> is_over{false};
  std::thread engine([&] {
    while (!is_over.load(std::memory_order_relaxed)) {
      drain_all(*ring);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  Samples samples;
  std::uint64_t shed = 0;
  for (auto _ : state) {
    const std::uint64_t start = ticks();
    workload.sample.c.end_ns = now_ns();
    const sidecast_status status = writer.write(workload.sample);
    benchmark::ClobberMemory();
    const std::uint64_t taken = ticks() - start;
    if (status != SIDECAST_OK) {
      ++shed;
      continue;
    }
    if (!samples.is_full()) samples.add(taken);
    // Between requests a gateway does something else; without this the ring is always full.
    const std::uint64_t pause =
        ticks() + static_cast<std::uint64_t>(2000 / tick_scale().ns_per_tick);
    while (ticks() < pause) {
    }
  }
  is_over = true;
  engine.join();
  samples.report(state);
  state.counters["shed"] = static_cast<double>(shed);
}

// A ring that nobody drains: what does the answer "full" cost?
void drop_when_full(benchmark::State& state) {
  Workload workload(static_cast<std::size_t>(state.range(0)));
  const ScratchDirectory scratch;
  const WriterHandle writer(scratch.path(), 1u << 20, 0);
  while (writer.write(workload.sample) != SIDECAST_DROPPED_FULL) {
  }
  Samples samples;
  // One drop is too short to be timed alone: batches of 16.
  for (auto _ : state) {
    const std::uint64_t start = ticks();
    for (int i = 0; i < 16; ++i) benchmark::DoNotOptimize(writer.write(workload.sample));
    const std::uint64_t taken = ticks() - start;
    if (!samples.is_full()) samples.add(taken);
  }
  samples.report(state);
  for (const char* const name : {"p50_ns", "p99_ns", "p99.9_ns"}) {
    state.counters[name] = state.counters[name] / 16;
  }
}

// A writer without a ring: what does a gateway pay for a missing engine directory?
void write_disabled(benchmark::State& state) {
  Workload workload(2048);
  const WriterHandle writer("/nowhere/at/all");
  Samples samples;
  for (auto _ : state) {
    const std::uint64_t start = ticks();
    for (int i = 0; i < 16; ++i) benchmark::DoNotOptimize(writer.write(workload.sample));
    const std::uint64_t taken = ticks() - start;
    if (!samples.is_full()) samples.add(taken);
  }
  samples.report(state);
  for (const char* const name : {"p50_ns", "p99_ns", "p99.9_ns"}) {
    state.counters[name] = state.counters[name] / 16;
  }
}

// Many threads on one ring, each with pauses: how long does the slowest write in a thousand take,
// and how often is every lane busy?
void write_threads(benchmark::State& state) {
  const auto threads = static_cast<std::size_t>(state.range(0));
  const auto bytes = static_cast<std::size_t>(state.range(1));
  for (auto _ : state) {
    const ScratchDirectory scratch;
    const WriterHandle writer(scratch.path(), 64u << 20, 0);
    const auto directory = open_directory(scratch.path());
    const auto ring = directory->discover().at(0);
    // One write in fifty of a thread's time, as a busy gateway might: with all threads runnable all
    // the time, the threads that wait for a core hold a lane that often.
    const double pause_ns = 16'000;
    const std::size_t each = std::getenv("SIDECAST_BENCH_SMOKE") != nullptr ? 100 : 25'000;
    std::atomic<bool> is_over{false};
    std::thread engine([&] {
      while (!is_over.load(std::memory_order_relaxed)) {
        drain_all(*ring);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    std::vector<Samples> samples;
    for (std::size_t i = 0; i < threads; ++i) samples.emplace_back(each);
    std::vector<std::thread> writers;
    for (std::size_t i = 0; i < threads; ++i) {
      writers.emplace_back([&, i] {
        Workload workload(bytes);
        for (std::size_t n = 0; n < each; ++n) {
          const std::uint64_t start = ticks();
          workload.sample.c.end_ns = now_ns();
          const sidecast_status status = writer.write(workload.sample);
          benchmark::ClobberMemory();
          const std::uint64_t taken = ticks() - start;
          if (status == SIDECAST_OK) samples[i].add(taken);
          const std::uint64_t pause =
              ticks() + static_cast<std::uint64_t>(pause_ns / tick_scale().ns_per_tick);
          while (ticks() < pause) {
          }
        }
      });
    }
    for (std::thread& thread : writers) thread.join();
    is_over = true;
    engine.join();
    Samples all(each * threads);
    for (const Samples& some : samples) all.append(some);
    all.report(state);
    const sidecast_counters counters = writer.counters();
    state.counters["busy"] = static_cast<double>(counters.dropped_busy);
    state.counters["shed"] = static_cast<double>(counters.shed);
    state.counters["writes"] = static_cast<double>(each * threads);
  }
}

// The part of every write that is the gateway's own clock.
void clock(benchmark::State& state) {
  Samples samples;
  for (auto _ : state) {
    const std::uint64_t start = ticks();
    benchmark::DoNotOptimize(now_ns());
    const std::uint64_t taken = ticks() - start;
    if (!samples.is_full()) samples.add(taken);
  }
  samples.report(state);
}

BENCHMARK(clock);
BENCHMARK(floor)->ArgNames({"bytes", "cold"})->ArgsProduct({{0, 2048, 16384, 262144}, {0, 1}});
BENCHMARK(write)->ArgNames({"bytes", "cold"})->ArgsProduct({{0, 2048, 16384, 262144}, {0, 1}});
BENCHMARK(write_draining)->ArgName("bytes")->Arg(2048);
BENCHMARK(drop_when_full)->ArgName("bytes")->Arg(0)->Arg(2048);
BENCHMARK(write_disabled);
BENCHMARK(write_threads)->ArgNames({"threads", "bytes"})->Args({8, 2048})->Iterations(1);

}  // namespace
}  // namespace sidecast::shm

int main(int argc, char** argv) {
  // As a test each benchmark runs once, so that none rots.
  std::vector<char*> arguments(argv, argv + argc);
  std::string once = "--benchmark_min_time=0.0001";
  if (std::getenv("SIDECAST_BENCH_SMOKE") != nullptr) arguments.push_back(once.data());
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
