// What does a record cost on its way into a Kafka topic, beside its encoding alone? From the Trace
// through dialect, encoder, producer and the answer of a broker: librdkafka's mock of one, in
// another process, so that all CPU that is counted is ours and librdkafka's.
//
//   Kafka/<encoder>/<codec>/bytes:<n>   a batch of about a megabyte, one message for each record
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <semaphore>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench/exporters/payload.h"
#include "engine/base/assert.h"
#include "exporters/kafka/client.h"
#include "exporters/registry.h"
#include "tests/support/kafka_cluster.h"

namespace sidecast::bench {
namespace {

// Its brokers; it ends with this process.
std::string start_cluster() {
  int ends[2];
  SIDECAST_ASSERT(::pipe(ends) == 0);
  if (::fork() == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const test::KafkaCluster cluster(1);
    const std::string& brokers = cluster.brokers();
    SIDECAST_ASSERT(::write(ends[1], brokers.data(), brokers.size()) > 0);
    for (;;) ::pause();
  }
  std::string brokers(1000, '\0');
  const ssize_t size = ::read(ends[0], brokers.data(), brokers.size());
  SIDECAST_ASSERT(size > 0);
  brokers.resize(static_cast<std::size_t>(size));
  return brokers;
}

using Wakes = std::counting_semaphore<>;

void produce_all(kafka::Client& client, Wakes& wakes, const std::vector<KeyedMessage>& messages) {
  std::size_t left = messages.size();
  for (const KeyedMessage& message : messages) {
    SIDECAST_ASSERT(client.produce(message, {}, nullptr).empty());
  }
  while (left > 0) {
    const bool has_more = client.serve([&](void*, std::string_view code) {
      SIDECAST_ASSERT(code.empty());
      --left;
    });
    if (left > 0 && !has_more) wakes.acquire();
  }
}

void kafka_path(benchmark::State& state, const std::string& brokers, const Encoder& encoder,
                const std::string& codec, std::size_t bytes) {
  const auto payloads = make_batch(bytes);
  const DialectEntry& generic = *find_dialect("generic");
  kafka::Connection connection;
  connection.brokers = brokers;
  connection.topic = test::KafkaCluster::kTopic;
  connection.settings = {{"enable.idempotence", "true"},    {"acks", "all"},
                         {"compression.codec", codec},      {"partitioner", "fnv1a_random"},
                         {"message.max.bytes", "10000000"}, {"batch.size", "10000000"}};
  Wakes wakes(0);
  auto client =
      kafka::Client::open(connection, kafka::Client::Batches::kMany, [&wakes] { wakes.release(); });
  SIDECAST_ASSERT(client);
  Arena arena(1U << 20U);
  std::vector<ByteBuffer> encoded(payloads.size());
  std::clock_t cpu = 0;
  for (auto _ : state) {
    const std::clock_t start = std::clock();
    std::vector<KeyedMessage> messages;
    for (std::size_t i = 0; i < payloads.size(); ++i) {
      const Trace& trace = payloads[i]->trace();
      arena.reset();
      encoded[i].clear();
      encoder.write(trace, generic.write(trace, {}, arena), encoded[i]);
      messages.push_back({.key = to_hex(trace.trace_id.view()),
                          .value = {encoder.prefix, encoded[i].view(), encoder.suffix}});
    }
    produce_all(**client, wakes, messages);
    cpu += std::clock() - start;
  }
  const auto records =
      static_cast<double>(state.iterations()) * static_cast<double>(payloads.size());
  const double cpu_us = static_cast<double>(cpu) * 1e6 / CLOCKS_PER_SEC / records;
  state.counters["cpu_us/record"] = cpu_us;
  state.counters["records/core_s"] = 1e6 / cpu_us;
  state.counters["records/s"] = benchmark::Counter(records, benchmark::Counter::kIsRate);
}

}  // namespace
}  // namespace sidecast::bench

int main(int argc, char** argv) {
  using namespace sidecast;
  const std::string brokers = bench::start_cluster();  // before there are threads
  std::vector<char*> arguments(argv, argv + argc);
  char once[] = "--benchmark_min_time=0.000001";
  const bool is_smoke = std::getenv("SIDECAST_BENCH_SMOKE") != nullptr;
  if (is_smoke) arguments.push_back(once);
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  for (const std::size_t bytes : bench::kMessageBytes) {
    for (const char* encoder : {"otlp_protobuf", "otlp_json"}) {
      for (const char* codec : {"none", "zstd"}) {
        benchmark::RegisterBenchmark(
            fmt::format("Kafka/{}/{}/bytes:{}", encoder, codec, bytes).c_str(),
            [=, &brokers](benchmark::State& state) {
              bench::kafka_path(state, brokers, *find_encoder(encoder), codec, bytes);
            })
            ->UseRealTime();
      }
    }
    if (is_smoke) break;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
