// What does a batch in the spool cost, and whom? The spooler's thread pays for writing and reading
// back, beside what nobody can avoid: the same bytes written to a file that was allocated. The
// delivery thread pays the redo record alone.
//
//   Spool/write/<bytes>    a frame of 64 records, its checksum and its place on disk
//   Spool/floor/<bytes>    pwrite of the body
//   Spool/read/<bytes>     a frame back, checked and cut into its records
//   Spool/commit           the redo record that moves 64 records for one destination
//
// The disk is that of $TMPDIR, else /var/tmp; without a sync this measures its page cache.
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include "engine/batch/settle.h"
#include "engine/spool/spool.h"
#include "engine/stage/stage.h"

namespace sidecast::bench {
namespace {

constexpr std::size_t kRecords = 64;
const std::string kIdentity(32, 'a');

// A directory on disk and one in memory, gone with the object.
struct Place {
  Place() {
    const char* const temporary = std::getenv("TMPDIR");  // NOLINT(concurrency-mt-unsafe)
    std::string disk_pattern =
        std::string(temporary == nullptr ? "/var/tmp" : temporary) + "/sidecast-bench-XXXXXX";
    std::string memory_pattern = "/dev/shm/sidecast-bench-XXXXXX";
    disk = mkdtemp(disk_pattern.data());
    memory = mkdtemp(memory_pattern.data());
    std::filesystem::create_directory(memory + "/states");
  }
  ~Place() {
    std::filesystem::remove_all(disk);
    std::filesystem::remove_all(memory);
  }
  std::string disk;
  std::string memory;
};

struct World {
  World()
      : ledger(std::move(*Ledger::open(place.memory + "/ledger"))),
        redo(std::move(*stage::RedoLog::open(place.memory + "/redo", 1024))),
        spool({.directory = place.disk, .limit_bytes = 1ULL << 30U}, place.memory + "/states",
              *ledger),
        slot(*ledger->find_or_add_destination(kIdentity, "d", "otlp")) {
    if (!spool.open()) std::abort();
    spool.recover({}, *redo);
  }
  Place place;
  std::unique_ptr<Ledger> ledger;
  std::unique_ptr<stage::RedoLog> redo;
  spool::Spool spool;
  DestinationIndex slot;
};

// Bytes that look compressed.
std::string body_of(std::size_t size) {
  std::minstd_rand random(1);
  std::string body(size, '\0');
  for (char& byte : body) byte = static_cast<char>(random());
  return body;
}

spool::NewFrame frame_of(const std::string& body) {
  spool::NewFrame frame;
  for (std::size_t i = 0; i < kRecords; ++i) {
    spool::FrameRecord record{.encoded_bytes = static_cast<std::uint32_t>(body.size() / kRecords),
                              .fields = {}};
    record.fields.generation_id = "gen-0123456789abcdef";
    record.fields.account = "acme";
    frame.records.push_back(record);
  }
  frame.destinations = {spool::destination_name(kIdentity, "d", "otlp")};
  frame.sealed_ns = 1;
  frame.body = body;
  return frame;
}

void write_frames(benchmark::State& state) {
  World world;
  const std::string body = body_of(static_cast<std::size_t>(state.range(0)));
  const spool::NewFrame frame = frame_of(body);
  for (auto _ : state) {
    const auto ref = world.spool.write(frame, {world.slot}, spool::Spool::AtLimit::kDropOldest,
                                       *world.redo, wall_now());
    if (!ref) std::abort();
    world.redo->set_spooled(world.spool.state_of(*ref), ref->ordinal, 1);
    world.redo->commit();
    world.spool.committed(*ref);
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void write_floor(benchmark::State& state) {
  const Place place;
  const std::string body = body_of(static_cast<std::size_t>(state.range(0)));
  constexpr off_t kFileBytes = 64U << 20U;
  const int fd = open((place.disk + "/floor").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || posix_fallocate(fd, 0, kFileBytes) != 0) std::abort();
  off_t at = 0;
  for (auto _ : state) {
    if (at + state.range(0) > kFileBytes) at = 0;
    if (pwrite(fd, body.data(), body.size(), at) < 0) std::abort();
    at += state.range(0);
  }
  close(fd);
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void read_frames(benchmark::State& state) {
  World world;
  const std::string body = body_of(static_cast<std::size_t>(state.range(0)));
  const auto ref = world.spool.write(frame_of(body), {world.slot},
                                     spool::Spool::AtLimit::kDropOldest, *world.redo, wall_now());
  if (!ref) std::abort();
  for (auto _ : state) {
    const auto whole = world.spool.read(*ref);
    const auto frame = world.spool.parse(*ref, *whole);
    std::string plain;
    const auto records = spool::cut_body(*frame, plain);
    if (!records) std::abort();
    benchmark::DoNotOptimize(records->data());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void commit(benchmark::State& state) {
  World world;
  const std::string body = body_of(4096);
  const auto ref = world.spool.write(frame_of(body), {world.slot},
                                     spool::Spool::AtLimit::kDropOldest, *world.redo, wall_now());
  const auto settle_redo = std::move(*stage::RedoLog::open(world.place.memory + "/settle", 8192));
  auto segment = std::move(*stage::Segment::create(world.place.memory + "/segment", {0, 1},
                                                   world.ledger->header().epoch, 1U << 20U));
  stage::Stage stage(world.place.memory, world.ledger->header().epoch, {.bytes_max = 1U << 30U});
  Settler settler(*world.ledger, *settle_redo, stage);
  std::vector<stage::EntryRef> entries;
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < kRecords; ++i) {
    stage::Entry* const entry = segment->append(offset, {.pending = 3}, "spans");
    offset += entry->size_bytes;
    entries.push_back({segment.get(), entry});
  }
  segment->commit(offset);
  // One bit of two: so that no entry is ever settled, however often its bit is cleared.
  for (auto _ : state) {
    settler.spooled(
        entries, 1, std::vector<DestinationIndex>{world.slot},
        {.state = world.spool.state_of(*ref), .ordinal = ref->ordinal, .frame_bits = 1});
  }
}

BENCHMARK(write_frames)->Name("Spool/write")->Arg(64 << 10)->Arg(1 << 20);
BENCHMARK(write_floor)->Name("Spool/floor")->Arg(64 << 10)->Arg(1 << 20);
BENCHMARK(read_frames)->Name("Spool/read")->Arg(64 << 10)->Arg(1 << 20);
BENCHMARK(commit)->Name("Spool/commit");

}  // namespace
}  // namespace sidecast::bench

int main(int argc, char** argv) {
  std::vector<char*> arguments(argv, argv + argc);
  char once[] = "--benchmark_min_time=0.000001";
  if (std::getenv("SIDECAST_BENCH_SMOKE") != nullptr)
    arguments.push_back(once);  // NOLINT(concurrency-mt-unsafe)
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
