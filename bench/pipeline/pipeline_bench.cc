// What does a span cost from the ring to the wire, next to what nobody can avoid?
//
//   Pipeline/destinations:N/kb:K/codec   CPU of the whole engine process per span: drain, decode,
//                                        normalise, dialect, encode, stage, batch, compress, send
//                                        over loopback, account. Writer and receiver are processes
//                                        of their own.
//
// Counters: cpu_us, bound_us (bench/bound, in the same run on the same bytes) and ratio, the share
// of the bound that is reached: 1.0 would be an engine of nothing but unavoidable work.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sidecast.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bound/bound.h"
#include "bench/pipeline/payload.h"
#include "bench/pipeline/receiver.h"
#include "engine/base/log.h"
#include "engine/config/config.h"
#include "engine/engine.h"
#include "engine/normalise/normalise.h"
#include "exporters/registry.h"
#include "shm/record.h"
#include "tests/support/temp_dir.h"

namespace sidecast::bench {
namespace {

// Distinct exchanges; they are written over and over.
constexpr std::size_t kExchanges = 256;
constexpr std::uint64_t kRecordBytesPerRun = 192U << 20U;

bool is_smoke() {
  return std::getenv("SIDECAST_BENCH_SMOKE") != nullptr;
}  // NOLINT(concurrency-mt-unsafe)

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "pipeline_bench: %s\n", why.c_str());
  std::_Exit(1);
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

sidecast_generation generation_of(const Exchange& exchange, std::string_view id,
                                  sidecast_slice& request, sidecast_slice& response) {
  request = {exchange.request.data(), exchange.request.size()};
  response = {exchange.response.data(), exchange.response.size()};
  sidecast_generation generation{};
  generation.struct_size = sizeof generation;
  generation.flags = SIDECAST_WRITE_ALL_OR_NOTHING;
  generation.http_status = 200;
  generation.generation_id = {id.data(), id.size()};
  generation.account = {"acme", 4};
  generation.operation = {"chat", 4};
  generation.provider = {"openai", 6};
  generation.request = {&request, 1};
  generation.response = {&response, 1};
  generation.start_ns = 1'700'000'000'000'000'000;
  generation.end_ns = generation.start_ns + 1'500'000'000;
  return generation;
}

// Writes `count` records from a child process that waits whenever the ring is full.
pid_t start_writer(const std::string& ring_dir, const std::vector<Exchange>& exchanges,
                   std::size_t count) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sidecast_options options{};
  options.struct_size = sizeof options;
  options.ring_dir = ring_dir.c_str();
  options.ring_bytes = 64U << 20U;
  sidecast_writer* writer = nullptr;
  if (sidecast_open(&options, &writer) != SIDECAST_OK) die("no ring");
  std::string id;
  for (std::size_t i = 0; i < count; ++i) {
    id = fmt::format("gen-{:012}", i);
    sidecast_slice request;
    sidecast_slice response;
    const auto generation = generation_of(exchanges[i % exchanges.size()], id, request, response);
    while (sidecast_write_generation(writer, &generation) != SIDECAST_OK) usleep(200);
  }
  sidecast_close(writer);
  _exit(0);
}

Config make_config(const std::string& ring_dir, const std::string& url, std::size_t destinations,
                   const std::string& codec) {
  std::string yaml =
      fmt::format("ring_dir: {}\nworkers: 1\nmemory_limit: 1GiB\ndestinations:\n", ring_dir);
  for (std::size_t i = 0; i < destinations; ++i) {
    yaml += fmt::format(
        "  - {{name: d{}, type: otlp, endpoint: \"{}\", dialect: openinference, "
        "encoding: otlp_protobuf, compression: {}}}\n",
        i, url, codec);
  }
  auto config = parse_config(yaml, "bench.yaml");
  if (!config) die(config.error().message());
  return std::move(*config);
}

// The same records as the bound sees them.
class BoundRecords {
 public:
  BoundRecords(const std::vector<Exchange>& exchanges, const Format& format) : arena_(64U << 20U) {
    for (std::size_t i = 0; i < exchanges.size(); ++i) {
      shm::RecordView view;
      const std::string& id = ids_.emplace_back(fmt::format("gen-{:012}", i));
      view.generation_id = id;
      view.account = "acme";
      view.operation = "chat";
      view.provider = "openai";
      view.http_status = 200;
      view.start_ns = 1'700'000'000'000'000'000;
      view.end_ns = view.start_ns + 1'500'000'000;
      view.request = exchanges[i].request;
      view.response = exchanges[i].response;
      // Each trace's views live in its normaliser.
      normalisers_.push_back(std::make_unique<Normaliser>());
      const Trace trace = normalisers_.back()->normalise(view, {}, 0, {}, arena_);
      spans_.push_back(format.dialect->write(trace, format.dialect_options, arena_));
    }
  }
  std::vector<SpanSet> take() { return std::move(spans_); }

 private:
  Arena arena_;
  std::vector<std::string> ids_;
  std::vector<std::unique_ptr<Normaliser>> normalisers_;
  std::vector<SpanSet> spans_;
};

BoundCosts bound_of(const std::vector<Exchange>& exchanges, const Format& format,
                    std::size_t destinations, const std::string& url) {
  BoundRecords records(exchanges, format);
  BoundInput input;
  std::uint64_t bytes = 0;
  for (const Exchange& exchange : exchanges) {
    input.requests.push_back(exchange.request);
    input.responses.push_back(exchange.response);
    input.records.push_back(exchange.request + exchange.response);
    bytes += input.records.back().size();
  }
  input.spans = records.take();
  input.compression = format.compression;
  input.destinations = destinations;
  input.url = url;
  // As many as fit the destination's limit, as the batcher would cut them. Spans carry the text
  // about twice: as it came and message by message.
  const std::uint64_t record_bytes = 2 * bytes / exchanges.size();
  input.batch_records = std::clamp<std::size_t>(format.limits.batch_bytes_max / record_bytes, 1,
                                                format.limits.batch_records_max);
  return measure_bound(input);
}

void run_pipeline(benchmark::State& state, const std::string& codec) {
  const auto destinations = static_cast<std::size_t>(state.range(0));
  const auto kb_tenths = static_cast<std::size_t>(state.range(1));
  const auto exchanges = make_exchanges(kExchanges, kb_tenths * 1024 / 10);
  const std::size_t bytes = exchanges[0].request.size() + exchanges[0].response.size();
  const std::size_t count = is_smoke() ? 200 : kRecordBytesPerRun / bytes;
  const Receiver receiver;
  double cpu = 0;
  std::size_t spans = 0;
  Format format;
  const std::atomic<bool> never{false};
  for (auto _ : state) {
    const test::TempDir directory;
    const auto open = [&](bool drain) {
      Config config = make_config(directory.path(), receiver.url(), destinations, codec);
      format = config.destinations[0].exporter->format();
      auto engine = Engine::open(std::move(config), {.drain = drain, .version = "bench"}, never);
      if (!engine) die(engine.error().message());
      return std::move(*engine);
    };
    const double start = cpu_seconds();
    {
      // Beside the writer until it has ended...
      const auto engine = open(false);
      const pid_t writer = start_writer(directory.path(), exchanges, count);
      std::atomic<bool> written{false};
      std::thread watcher([&] {
        waitpid(writer, nullptr, 0);
        written = true;
      });
      static_cast<void>(engine->run(written));
      watcher.join();
    }
    // ...and what the ring still holds.
    if (!open(true)->run(never)) die("records were left behind");
    const double spent = cpu_seconds() - start;
    state.SetIterationTime(spent);
    cpu += spent;
    spans += count;
  }
  const double cpu_ns = cpu * 1e9 / static_cast<double>(spans);
  const BoundCosts bound = bound_of(exchanges, format, destinations, receiver.url());
  state.counters["spans_per_core_s"] = 1e9 / cpu_ns;
  state.counters["cpu_us"] = cpu_ns / 1000;
  state.counters["bound_us"] = bound.total() / 1000;
  state.counters["ratio"] = bound.total() / cpu_ns;
  state.SetLabel(
      fmt::format("bound us: copy {:.2f} parse {:.2f} encode {:.2f} codec {:.2f} send {:.2f}",
                  bound.copy_ns / 1000, bound.parse_ns / 1000, bound.encode_ns / 1000,
                  bound.codec_ns / 1000, bound.send_ns / 1000));
}

void gzip(benchmark::State& state) {
  run_pipeline(state, "gzip");
}
void zstd(benchmark::State& state) {
  run_pipeline(state, "zstd");
}

void sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"destinations", "kb_tenths"})->UseManualTime()->Iterations(1);
  if (is_smoke()) {
    benchmark->Args({1, 14});
    return;
  }
  for (const int destinations : {1, 3, 10}) {
    for (const int kb_tenths : {14, 80, 640}) benchmark->Args({destinations, kb_tenths});
  }
}
BENCHMARK(gzip)->Name("Pipeline/gzip")->Apply(sizes);
BENCHMARK(zstd)->Name("Pipeline/zstd")->Apply(sizes);

}  // namespace
}  // namespace sidecast::bench

int main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::warn);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
