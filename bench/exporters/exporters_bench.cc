// What does a span cost from Trace to compressed bytes, and how far is each step from what cannot
// be avoided? Every row reports per span. Floors stand in the same run: Memcpy for dialect and
// encoder, the bare codec on the same bytes for compression.
//
//   Dialect/<name>            Trace -> SpanSet
//   Encode/<dialect>/<form>   SpanSet -> bytes
//   Record/<form>             Trace -> generic dialect -> bytes: what a destination of that form
//   costs Memcpy/<dialect>          copying those bytes Compress/<codec>          a batch of about
//   1 MB, through Compressor Codec/<codec>/<level>     the bare library call on the same batch in
//   one piece; the levels we
//                             rejected stand beside the one we took
//   Span/<dialect>/<codec>    all of it
#include <cstdlib>
#include <numeric>

#include <benchmark/benchmark.h>
#include <isa-l/igzip_lib.h>
#include <zlib.h>
#include <zstd.h>

#include "bench/exporters/payload.h"
#include "exporters/compress/compress.h"
#include "exporters/registry.h"

namespace sidecast::bench {
namespace {

std::string compression_name(Compression codec) {
  return codec == Compression::kNone ? "none" : std::string(content_encoding(codec));
}

void report(benchmark::State& state, std::size_t bytes_per_round, std::size_t spans_per_round) {
  const auto rounds = state.iterations();
  state.SetBytesProcessed(rounds * static_cast<std::int64_t>(bytes_per_round));
  state.SetItemsProcessed(rounds * static_cast<std::int64_t>(spans_per_round));
  state.counters["ns/span"] =
      benchmark::Counter(static_cast<double>(rounds) * static_cast<double>(spans_per_round) / 1e9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void dialect(benchmark::State& state, const DialectEntry& entry, std::size_t bytes) {
  const Payload payload(bytes, 1);
  const DialectOptions options;
  Arena arena(1U << 20U);
  for (auto _ : state) {
    arena.reset();
    SpanSet set = entry.write(payload.trace(), options, arena);
    benchmark::DoNotOptimize(set.spans.data());
  }
  report(state, bytes, 1);
}

void encode(benchmark::State& state, const DialectEntry& entry, const Encoder& encoder,
            std::size_t bytes) {
  const Payload payload(bytes, 1);
  Arena arena;
  const SpanSet set = entry.write(payload.trace(), {}, arena);
  ByteBuffer out;
  for (auto _ : state) {
    out.clear();
    encoder.write(payload.trace(), set, out);
    benchmark::DoNotOptimize(out.data());
  }
  report(state, out.size(), 1);
}

void record(benchmark::State& state, const Encoder& encoder, std::size_t bytes) {
  const Payload payload(bytes, 1);
  const DialectEntry& generic = *find_dialect("generic");
  Arena arena(1U << 20U);
  ByteBuffer out;
  for (auto _ : state) {
    arena.reset();
    out.clear();
    encoder.write(payload.trace(), generic.write(payload.trace(), {}, arena), out);
    benchmark::DoNotOptimize(out.data());
  }
  report(state, out.size(), 1);
}

void copy(benchmark::State& state, const DialectEntry& entry, std::size_t bytes) {
  const Payload payload(bytes, 1);
  Arena arena;
  ByteBuffer encoded;
  find_encoder("otlp_protobuf")
      ->write(payload.trace(), entry.write(payload.trace(), {}, arena), encoded);
  std::string to(encoded.size(), '\0');
  for (auto _ : state) {
    std::memcpy(to.data(), encoded.data(), encoded.size());
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
  report(state, encoded.size(), 1);
}

// Records of one batch, encoded, as pieces and glued.
struct EncodedBatch {
  explicit EncodedBatch(std::size_t bytes)
      : records(encode_batch(make_batch(bytes), *find_dialect("generic"),
                             *find_encoder("otlp_protobuf"))),
        pieces(records.begin(), records.end()),
        whole(std::accumulate(records.begin(), records.end(), std::string())) {}
  std::vector<std::string> records;
  std::vector<Bytes> pieces;
  std::string whole;
};

void compress(benchmark::State& state, Compression codec, std::size_t bytes) {
  const EncodedBatch batch(bytes);
  Compressor compressor;
  std::size_t size = 0;
  for (auto _ : state) {
    const std::string body = compressor.compress(codec, batch.pieces);
    size = body.size();
    benchmark::DoNotOptimize(body.data());
  }
  report(state, batch.whole.size(), batch.records.size());
  state.counters["ratio"] =
      static_cast<double>(batch.whole.size()) / static_cast<double>(std::max<std::size_t>(size, 1));
}

// The bare calls: `run` compresses all of `whole` into `to` and returns the size.
template <typename Run>
void codec(benchmark::State& state, std::size_t bytes, Run run) {
  const EncodedBatch batch(bytes);
  std::string to(2 * batch.whole.size() + 4'096, '\0');
  std::size_t size = 0;
  for (auto _ : state) {
    size = run(batch.whole, to);
    benchmark::DoNotOptimize(to.data());
  }
  report(state, batch.whole.size(), batch.records.size());
  state.counters["ratio"] =
      static_cast<double>(batch.whole.size()) / static_cast<double>(std::max<std::size_t>(size, 1));
}

std::size_t bare_isal(const std::string& from, std::string& to, std::uint32_t level) {
  static std::vector<std::uint8_t> level_buffer(ISAL_DEF_LVL3_LARGE);
  static isal_zstream stream;
  isal_deflate_init(&stream);
  stream.gzip_flag = IGZIP_GZIP;
  stream.level = level;
  stream.level_buf = level_buffer.data();
  stream.level_buf_size = static_cast<std::uint32_t>(level_buffer.size());
  stream.end_of_stream = 1;
  stream.flush = NO_FLUSH;
  stream.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(from.data()));
  stream.avail_in = static_cast<std::uint32_t>(from.size());
  stream.next_out = reinterpret_cast<std::uint8_t*>(to.data());
  stream.avail_out = static_cast<std::uint32_t>(to.size());
  isal_deflate(&stream);
  return stream.total_out;
}

std::size_t bare_zstd(const std::string& from, std::string& to, int level) {
  static ZSTD_CCtx* const context = ZSTD_createCCtx();
  return ZSTD_compressCCtx(context, to.data(), to.size(), from.data(), from.size(), level);
}

std::size_t bare_zlib(const std::string& from, std::string& to) {
  uLongf size = to.size();
  ::compress2(reinterpret_cast<Bytef*>(to.data()), &size,
              reinterpret_cast<const Bytef*>(from.data()), from.size(), 6);
  return size;
}

void span(benchmark::State& state, const DialectEntry& entry, Compression compression,
          std::size_t bytes) {
  const auto batch = make_batch(bytes);
  const Encoder& encoder = *find_encoder("otlp_protobuf");
  Arena arena;
  ByteBuffer out;
  Compressor compressor;
  for (auto _ : state) {
    out.clear();
    for (const auto& payload : batch) {
      arena.reset();
      encoder.write(payload->trace(), entry.write(payload->trace(), {}, arena), out);
    }
    const Bytes whole = out.view();
    const std::string body = compressor.compress(compression, {&whole, 1});
    benchmark::DoNotOptimize(body.data());
  }
  report(state, out.size(), batch.size());
}

void add_codecs(const std::string& bytes_name, std::size_t bytes) {
  const auto add = [&](const std::string& name, auto run) {
    benchmark::RegisterBenchmark((name + bytes_name).c_str(),
                                 [bytes, run](benchmark::State& s) { codec(s, bytes, run); });
  };
  for (std::uint32_t level = 0; level <= 3; ++level) {
    add("Codec/isal/level:" + std::to_string(level),
        [level](const std::string& from, std::string& to) { return bare_isal(from, to, level); });
  }
  for (const int level : {-1, 1, 3}) {
    add("Codec/zstd/level:" + std::to_string(level),
        [level](const std::string& from, std::string& to) { return bare_zstd(from, to, level); });
  }
  add("Codec/zlib/level:6",
      [](const std::string& from, std::string& to) { return bare_zlib(from, to); });
}

void add_all(std::size_t bytes) {
  const std::string bytes_name = "/bytes:" + std::to_string(bytes);
  const auto add = [&bytes_name](const std::string& name, auto run) {
    benchmark::RegisterBenchmark((name + bytes_name).c_str(), run);
  };
  for (const DialectEntry& entry : dialects()) {
    const std::string name(entry.name);
    add("Dialect/" + name, [&entry, bytes](auto& state) { dialect(state, entry, bytes); });
    add("Memcpy/" + name, [&entry, bytes](auto& state) { copy(state, entry, bytes); });
    for (const Encoder& encoder : encoders()) {
      add("Encode/" + name + "/" + std::string(encoder.name),
          [&entry, &encoder, bytes](auto& state) { encode(state, entry, encoder, bytes); });
    }
    for (const Compression compression :
         {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
      add("Span/" + name + "/" + compression_name(compression),
          [&entry, compression, bytes](auto& state) { span(state, entry, compression, bytes); });
    }
  }
  for (const Encoder& encoder : encoders()) {
    add("Record/" + std::string(encoder.name),
        [&encoder, bytes](auto& state) { record(state, encoder, bytes); });
  }
  for (const Compression compression : {Compression::kGzip, Compression::kZstd}) {
    add("Compress/" + compression_name(compression),
        [compression, bytes](auto& state) { compress(state, compression, bytes); });
  }
  add_codecs(bytes_name, bytes);
}

}  // namespace
}  // namespace sidecast::bench

int main(int argc, char** argv) {
  std::vector<char*> arguments(argv, argv + argc);
  char once[] = "--benchmark_min_time=0.000001";
  if (std::getenv("SIDECAST_BENCH_SMOKE") != nullptr) arguments.push_back(once);
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  for (const std::size_t bytes : sidecast::bench::kMessageBytes) sidecast::bench::add_all(bytes);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
