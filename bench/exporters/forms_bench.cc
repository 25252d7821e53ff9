// How far is a record's way from its bodies to a destination's bytes (normalise, dialect, encode)
// from what nobody can avoid: simdjson over the bodies, and a minimal encoder that writes the same
// attributes? Every row reports per record, and the three steps apart.
//
//   Forms/<dialect>/bytes:<n>   a chat with n bytes of messages, as OTLP protobuf
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "bench/bound/bound.h"
#include "bench/pipeline/payload.h"
#include "engine/normalise/normalise.h"
#include "exporters/registry.h"

namespace sidecast::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBytesAtOnce = 4U << 20U;  // beyond what caches hold

class Records {
 public:
  explicit Records(std::size_t message_bytes)
      : exchanges_(
            make_exchanges(std::max<std::size_t>(8, kBytesAtOnce / message_bytes), message_bytes)) {
    for (const Exchange& exchange : exchanges_) {
      ids_.push_back(std::make_unique<std::string>(fmt::format("gen-{:012}", ids_.size())));
      shm::RecordView& view = views_.emplace_back();
      view.generation_id = *ids_.back();
      view.account = "acme";
      view.operation = "chat";
      view.provider = "openai";
      view.http_status = 200;
      view.start_ns = 1'700'000'000'000'000'000;
      view.end_ns = view.start_ns + 1'500'000'000;
      view.request = exchange.request;
      view.response = exchange.response;
    }
  }
  [[nodiscard]] const std::vector<Exchange>& exchanges() const noexcept { return exchanges_; }
  [[nodiscard]] const std::vector<shm::RecordView>& views() const noexcept { return views_; }

 private:
  std::vector<Exchange> exchanges_;
  std::vector<std::unique_ptr<std::string>> ids_;
  std::vector<shm::RecordView> views_;
};

// Parsing and encoding alone, nanoseconds per record.
double bound_ns(const Records& records, const DialectEntry& dialect) {
  Arena arena(64U << 20U);
  std::vector<std::unique_ptr<Normaliser>> normalisers;  // a trace's views live in its own
  BoundInput input;
  input.compression = Compression::kNone;
  input.destinations = 0;
  for (std::size_t i = 0; i < records.views().size(); ++i) {
    normalisers.push_back(std::make_unique<Normaliser>());
    const Trace trace = normalisers.back()->normalise(records.views()[i], {}, 0, {}, arena);
    input.spans.push_back(dialect.write(trace, {}, arena));
    input.requests.push_back(records.exchanges()[i].request);
    input.responses.push_back(records.exchanges()[i].response);
    input.records.push_back(input.requests.back() + input.responses.back());
  }
  const BoundCosts costs = measure_bound(input);
  return costs.parse_ns + costs.encode_ns;
}

void forms(benchmark::State& state, const DialectEntry& dialect, std::size_t bytes) {
  const Records records(bytes);
  const Encoder& encoder = *find_encoder("otlp_protobuf");
  Normaliser normaliser;
  Arena arena(1U << 20U);
  ByteBuffer out;
  std::chrono::duration<double, std::nano> normalise{};
  std::chrono::duration<double, std::nano> write{};
  std::chrono::duration<double, std::nano> encode{};
  for (auto _ : state) {
    for (const shm::RecordView& view : records.views()) {
      const auto start = Clock::now();
      arena.reset();
      out.clear();
      const Trace trace = normaliser.normalise(view, {}, 0, {}, arena);
      const auto normalised = Clock::now();
      const SpanSet spans = dialect.write(trace, {}, arena);
      const auto written = Clock::now();
      encoder.write(trace, spans, out);
      benchmark::DoNotOptimize(out.data());
      const auto encoded = Clock::now();
      normalise += normalised - start;
      write += written - normalised;
      encode += encoded - written;
    }
  }
  const double count =
      static_cast<double>(state.iterations()) * static_cast<double>(records.views().size());
  const double all = (normalise + write + encode).count() / count;
  const double bound = bound_ns(records, dialect);
  state.counters["normalise_us"] = normalise.count() / count / 1000;
  state.counters["dialect_us"] = write.count() / count / 1000;
  state.counters["encode_us"] = encode.count() / count / 1000;
  state.counters["all_us"] = all / 1000;
  state.counters["bound_us"] = bound / 1000;
  state.counters["ratio"] = bound / all;
  state.counters["records_per_core_s"] = 1e9 / all;
}

}  // namespace
}  // namespace sidecast::bench

int main(int argc, char** argv) {
  using namespace sidecast;
  std::vector<char*> arguments(argv, argv + argc);
  char once[] = "--benchmark_min_time=0.000001";
  const bool is_smoke = std::getenv("SIDECAST_BENCH_SMOKE") != nullptr;
  if (is_smoke) arguments.push_back(once);
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  for (const std::size_t bytes : {std::size_t{1'400}, std::size_t{8'192}, std::size_t{65'536}}) {
    if (is_smoke && bytes > 1'400) break;
    for (const DialectEntry& dialect : dialects()) {
      const std::string name = fmt::format("Forms/{}/bytes:{}", dialect.name, bytes);
      benchmark::RegisterBenchmark(name.c_str(), [&dialect, bytes](benchmark::State& state) {
        bench::forms(state, dialect, bytes);
      });
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
