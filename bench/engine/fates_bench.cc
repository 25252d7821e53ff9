// What does the log of fates (engine/fates) cost per record and destination? Every row reports per
// record; the goal is 300 ns for all of it together.
//
//   Record/destinations:N   a record's arrival, routed to N groups
//   Batch/records:N         freezing a batch: its records' keys
//   Settle/records:N        a request: sent, answered, settled
//   All/records:N           a record's arrival, its batch and its request at one destination
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include "engine/fates/fate_log.h"
#include "engine/stage/segment.h"

namespace sidecast::bench {
namespace {

constexpr std::uint64_t kFileBytes = 16U << 20U;
constexpr std::array<unsigned char, 16> kRing = {1, 2, 3};

// A file of the default size and staged entries to speak of, gone with the object.
class World {
 public:
  explicit World(std::size_t records)
      : folder_(fmt::format("/dev/shm/sidecast-fates-bench-{}", getpid())) {
    std::filesystem::create_directories(folder_);
    file_ = std::move(*fates::FateFile::open(folder_ + "/fates", kFileBytes, 2, 1));
    segment_ = std::move(*stage::Segment::create(folder_ + "/segment", {}, 1, 16U << 20U));
    std::uint64_t offset = 0;
    for (std::size_t i = 0; i < records; ++i) {
      const std::string spans(4096, 's');
      stage::Entry* const entry =
          segment_->append(offset, {.ring = kRing, .sequence = i, .generation_id = "gen"}, spans);
      offset += entry->size_bytes;
      entries_.push_back({segment_.get(), entry});
    }
    worker = file_->log(0);
    delivery = file_->log(1);
  }
  ~World() { std::filesystem::remove_all(folder_); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void record(std::uint64_t sequence, std::size_t destinations) {
    decisions_.assign(destinations, {.group = 3, .outcome = 2});
    worker.record({.ring = &kRing,
                   .lane = 1,
                   .sequence = sequence,
                   .pid = 4711,
                   .process = "gateway",
                   .ended_ns = 1'700'000'000'000'000'000,
                   .http_status = 200,
                   .generation_id = "gen-1767225600-Xc81kqpLwS02mZ",
                   .account = "acme",
                   .session_id = "session-0123456789",
                   .trace_id_text = "0af7651916cd43dd8448eb211c80319c",
                   .span_bytes = 9000},
                  decisions_);
  }
  std::uint64_t batch() { return worker.batch(3, 1U << 20U, 0, entries_); }
  void request(std::uint64_t batch) {
    const fates::PartNote part{
        .batch = batch, .first = 0, .count = entries_.size(), .destination = 5};
    delivery.sent(part, 1, 100'000);
    delivery.answered(part, 2, 12, -1, "HTTP 503 (UNAVAILABLE)");
    delivery.settled(part, fates::Fate::kDelivered, 0);
  }

  fates::FateLog worker;
  fates::FateLog delivery;

 private:
  std::string folder_;
  std::unique_ptr<fates::FateFile> file_;
  std::unique_ptr<stage::Segment> segment_;
  std::vector<stage::EntryRef> entries_;
  std::vector<fates::Decision> decisions_;
};

void Record(benchmark::State& state) {
  World world(1);
  std::uint64_t sequence = 0;
  for (auto _ : state) world.record(++sequence, static_cast<std::size_t>(state.range(0)));
  state.SetItemsProcessed(state.iterations());
}

void Batch(benchmark::State& state) {
  World world(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(world.batch());
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void Settle(benchmark::State& state) {
  World world(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) world.request(1);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void All(benchmark::State& state) {
  const auto records = static_cast<std::size_t>(state.range(0));
  World world(records);
  std::uint64_t sequence = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < records; ++i) world.record(++sequence, 1);
    world.request(world.batch());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void register_all() {
  const bool is_smoke = std::getenv("SIDECAST_BENCH_SMOKE") != nullptr;
  const auto add = [is_smoke](const char* name, void (*run)(benchmark::State&), const char* range,
                              std::initializer_list<std::int64_t> values) {
    auto* const one = benchmark::RegisterBenchmark(name, run)->ArgName(range);
    for (const std::int64_t value : values) one->Arg(value);
    if (is_smoke) one->Iterations(1);
  };
  add("Record", Record, "destinations", {1, 10});
  add("Batch", Batch, "records", {1, 100, 512});
  add("Settle", Settle, "records", {1, 100, 512});
  add("All", All, "records", {1, 100, 512});
}

}  // namespace
}  // namespace sidecast::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  sidecast::bench::register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
