#include "bench/bound/bound.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include <curl/curl.h>
#include <isa-l/igzip_lib.h>
#include <simdjson.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <zstd.h>

namespace sidecast::bench {
namespace {

constexpr double kSecondsPerPiece = 0.25;  // of CPU time, so that a figure is steady

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Nanoseconds of CPU per span of `work`, which handles `spans` of them each time.
template <typename Work>
double time_per_span(std::size_t spans, const Work& work) {
  work();  // warm
  const double start = cpu_seconds();
  double spent = 0;
  std::size_t rounds = 0;
  do {
    work();
    ++rounds;
    spent = cpu_seconds() - start;
  } while (spent < kSecondsPerPiece);
  return spent * 1e9 / static_cast<double>(rounds * spans);
}

// ---- a minimal protobuf encoder: two passes, no checks, the attribute kinds the dialects use

struct Out {
  char* at;
  void byte(unsigned value) { *at++ = static_cast<char>(value); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) byte(static_cast<unsigned>(value | 0x80U) & 0xFFU);
    byte(static_cast<unsigned>(value));
  }
  void bytes(unsigned tag, Bytes value) {
    byte(tag);
    varint(value.size());
    std::memcpy(at, value.data(), value.size());
    at += value.size();
  }
  void fixed(unsigned tag, const void* value) {
    byte(tag);
    std::memcpy(at, value, 8);
    at += 8;
  }
};

std::size_t varint_size(std::uint64_t value) {
  return (static_cast<std::size_t>(64 - __builtin_clzll(value | 1)) + 6) / 7;
}
std::size_t field_size(std::size_t size) {
  return 1 + varint_size(size) + size;
}

std::size_t value_size(const AttributeValue& value) {
  if (const auto* text = std::get_if<Text>(&value)) return field_size(text->size());
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    return 1 + varint_size(static_cast<std::uint64_t>(*number));
  }
  if (std::holds_alternative<double>(value)) return 9;
  if (std::holds_alternative<bool>(value)) return 2;
  std::size_t list = 0;
  if (const auto* texts = std::get_if<std::span<const Text>>(&value)) {
    for (const Text text : *texts) list += field_size(field_size(text.size()));
  } else {
    list = std::get<std::span<const double>>(value).size() * field_size(9);
  }
  return field_size(list);
}

std::size_t attribute_size(const Attribute& attribute) {
  return field_size(attribute.key.size()) + field_size(value_size(attribute.value));
}

void write_attribute(Out& out, unsigned tag, const Attribute& attribute) {
  out.byte(tag);
  out.varint(attribute_size(attribute));
  out.bytes(0x0a, attribute.key);
  out.byte(0x12);
  out.varint(value_size(attribute.value));
  if (const auto* text = std::get_if<Text>(&attribute.value)) {
    out.bytes(0x0a, *text);
  } else if (const auto* number = std::get_if<std::int64_t>(&attribute.value)) {
    out.byte(0x18);
    out.varint(static_cast<std::uint64_t>(*number));
  } else if (const auto* real = std::get_if<double>(&attribute.value)) {
    out.fixed(0x21, real);
  } else if (const auto* flag = std::get_if<bool>(&attribute.value)) {
    out.byte(0x10);
    out.byte(*flag ? 1 : 0);
  } else if (const auto* texts = std::get_if<std::span<const Text>>(&attribute.value)) {
    std::size_t list = 0;
    for (const Text one : *texts) list += field_size(field_size(one.size()));
    out.byte(0x2a);
    out.varint(list);
    for (const Text one : *texts) {
      out.byte(0x0a);
      out.varint(field_size(one.size()));
      out.bytes(0x0a, one);
    }
  } else {
    const auto& reals = std::get<std::span<const double>>(attribute.value);
    out.byte(0x2a);
    out.varint(reals.size() * field_size(9));
    for (const double& one : reals) {
      out.byte(0x0a);
      out.varint(9);
      out.fixed(0x21, &one);
    }
  }
}

std::size_t span_size(const Span& span) {
  std::size_t size = 18 + 10 + field_size(span.name.size()) + 2 + 18;
  for (const Attribute& attribute : span.attributes) size += field_size(attribute_size(attribute));
  return size;
}

void write_spans(const SpanSet& set, std::vector<char>& buffer) {
  for (const Span& span : set.spans) {
    const std::size_t size = span_size(span);
    if (buffer.size() < size + 16) buffer.resize(size + 16);
    Out out{buffer.data()};
    out.byte(0x12);
    out.varint(size);
    out.bytes(0x0a, span.trace_id.view());
    out.bytes(0x12, span.span_id.view());
    out.bytes(0x2a, span.name);
    out.byte(0x30);
    out.byte(3);
    const std::int64_t start = unix_ns(span.start);
    const std::int64_t end = unix_ns(span.end);
    out.fixed(0x39, &start);
    out.fixed(0x41, &end);
    for (const Attribute& attribute : span.attributes) write_attribute(out, 0x4a, attribute);
  }
}

// ---- the pieces

double time_copy(const BoundInput& input) {
  std::size_t total = 0;
  std::size_t largest = 0;
  for (const auto& record : input.records) {
    total += record.size();
    largest = std::max(largest, record.size());
  }
  auto* const shared = static_cast<char*>(mmap(nullptr, total, PROT_READ | PROT_WRITE,
                                               MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
  char* to = shared;
  for (const auto& record : input.records) to = std::copy(record.begin(), record.end(), to);
  std::vector<char> out(largest);
  const double cost = time_per_span(input.records.size(), [&] {
    const char* from = shared;
    for (const auto& record : input.records) {
      std::memcpy(out.data(), from, record.size());
      asm volatile("" : : "r"(out.data()) : "memory");
      from += record.size();
    }
  });
  munmap(shared, total);
  return cost;
}

double time_parse(const BoundInput& input) {
  std::vector<simdjson::padded_string> bodies;
  for (const auto& body : input.requests) bodies.emplace_back(body);
  for (const auto& body : input.responses) bodies.emplace_back(body);
  simdjson::dom::parser parser;
  return time_per_span(input.requests.size(), [&] {
    for (const auto& body : bodies) {
      simdjson::dom::element document;
      if (parser.parse(body).get(document) != simdjson::SUCCESS) std::abort();
      asm volatile("" : : "r"(&document) : "memory");
    }
  });
}

double time_encode(const BoundInput& input) {
  std::vector<char> buffer(1U << 20U);
  return time_per_span(input.spans.size(), [&] {
    for (const SpanSet& set : input.spans) {
      write_spans(set, buffer);
      asm volatile("" : : "r"(buffer.data()) : "memory");
    }
  });
}

std::string compress(Compression codec, const std::string& batch) {
  if (codec == Compression::kZstd) {
    static const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                              ZSTD_freeCCtx);
    std::string out(ZSTD_compressBound(batch.size()), '\0');
    out.resize(
        ZSTD_compressCCtx(context.get(), out.data(), out.size(), batch.data(), batch.size(), 1));
    return out;
  }
  static isal_zstream stream;
  static std::vector<std::uint8_t> level_buffer(ISAL_DEF_LVL1_LARGE);
  isal_deflate_init(&stream);
  stream.gzip_flag = IGZIP_GZIP;
  stream.level = 1;
  stream.level_buf = level_buffer.data();
  stream.level_buf_size = ISAL_DEF_LVL1_LARGE;
  stream.end_of_stream = 1;
  stream.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(batch.data()));
  stream.avail_in = static_cast<std::uint32_t>(batch.size());
  std::string out(batch.size() + 65'536, '\0');
  stream.next_out = reinterpret_cast<std::uint8_t*>(out.data());
  stream.avail_out = static_cast<std::uint32_t>(out.size());
  isal_deflate(&stream);
  out.resize(stream.total_out);
  return out;
}

// The batch as one body of the same bytes the pipeline would compress.
std::string join(const BoundInput& input) {
  std::string batch;
  std::vector<char> buffer(1U << 20U);
  for (std::size_t i = 0; i < input.batch_records; ++i) {
    const SpanSet& set = input.spans[i % input.spans.size()];
    write_spans(set, buffer);
    for (const Span& span : set.spans) batch.append(buffer.data(), span_size(span));
  }
  return batch;
}

double time_codec(const BoundInput& input, const std::string& batch) {
  if (input.compression == Compression::kNone) return 0;
  return time_per_span(input.batch_records, [&] {
    const std::string out = compress(input.compression, batch);
    asm volatile("" : : "r"(out.data()) : "memory");
  });
}

double time_send(const BoundInput& input, const std::string& batch) {
  const std::string body =
      input.compression == Compression::kNone ? batch : compress(input.compression, batch);
  CURL* const easy = curl_easy_init();
  curl_slist* headers = curl_slist_append(nullptr, "Expect:");
  headers = curl_slist_append(headers, "Content-Type: application/x-protobuf");
  curl_easy_setopt(easy, CURLOPT_URL, input.url.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  const double cost = time_per_span(input.batch_records, [&] {
    for (std::size_t i = 0; i < input.destinations; ++i) {
      if (curl_easy_perform(easy) != CURLE_OK) std::abort();
    }
  });
  curl_slist_free_all(headers);
  curl_easy_cleanup(easy);
  return cost;
}

}  // namespace

BoundCosts measure_bound(const BoundInput& input) {
  const std::string batch = join(input);
  return {.copy_ns = time_copy(input),
          .parse_ns = time_parse(input),
          .encode_ns = time_encode(input),
          .codec_ns = time_codec(input, batch),
          .send_ns = time_send(input, batch)};
}

}  // namespace sidecast::bench
