// Limits, for every line of the registry: a random run of records of all sizes, cut into batches as
// the engine cuts them (engine/batch/batcher.cc), never becomes a request that its service would
// refuse for its size or count.
//
// SIDECAST_CONFORMANCE_RECORDS: how many, over all types together (20,000 unless set; 100,000 for a
// long run). SIDECAST_TEST_SEED: which run; each prints its own when it fails.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/sha256.h"
#include "exporters/registry.h"
#include "exporters/write.h"

namespace sidecast {

static void PrintTo(const Destination* type, std::ostream* out) {
  *out << type->name;
}

namespace {

constexpr Timestamp kNow = Timestamp(std::chrono::seconds(1'700'000'000));

// What the service itself takes, by its documentation (references "destinations-otlp" §1 and
// "destinations-native"); bytes uncompressed.
struct Hard {
  std::string_view type;
  std::uint64_t bytes;
  std::size_t records;
};
constexpr std::size_t kAny = 1U << 30U;
constexpr Hard kHard[] = {
    {"newrelic", 1'000'000, kAny},        {"datadog-otlp", 3'200'000, kAny},
    {"datadog", 5U << 20U, kAny},         {"langfuse", 5'000'000, kAny},
    {"elastic", 4U << 20U, kAny},         {"dynatrace", 8'000'000, kAny},
    {"braintrust", 10'000'000, kAny},     {"bigquery", 10'000'000, 50'000},
    {"firehose", 4U << 20U, 500},         {"honeycomb", 20U << 20U, kAny},
    {"otel-collector", 20U << 20U, kAny}, {"jaeger", 20U << 20U, kAny},
    {"tempo", 20U << 20U, kAny},
};

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  if (text == nullptr) return otherwise;
  std::uint64_t value = otherwise;
  std::from_chars(text, text + std::string_view(text).size(), value);
  return value;
}

OptionValues values_of(const Destination& type) {
  OptionValues options;
  for (const Option& option : type.options) {
    if (option.secret) continue;
    std::string value(option.fallback);
    if (option.required) value = "my-value";
    if (option.required && option.name == "endpoint") value = "https://a.example.com";
    if (option.required && option.name == "path") value = "/a/folder/a-file.jsonl";
    options.values.emplace(option.name, value);
  }
  return options;
}

struct Staged {
  std::vector<std::string> encoded;
  std::vector<std::string> ids;
  Batch batch;
};

// One record: a question of any size, with what JSON must escape in it, and some attempts.
class Records {
 public:
  explicit Records(std::uint64_t seed) : random_(seed), text_(4U << 20U, 'a') {
    for (std::size_t i = 0; i + 2 < text_.size(); i += 1 + random_() % 9) {
      text_[i] = "\"\\\n\t e<0\x7f"[random_() % 10];
    }
  }

  std::uint32_t write(const Format& format, const std::string& id, ByteBuffer& out) {
    Arena arena;
    Trace trace(arena);
    trace.identity.generation_id = id;
    trace.identity.account = "account-1";
    trace.trace_id = hash_trace_id(id);
    trace.model_requested = "a-model";
    Message& asked = trace.input_messages.emplace_back(arena);
    asked.role = "user";
    asked.parts.emplace_back().text = some_text();
    for (auto left = random_() % 4; left > 0; --left) {
      trace.attempts.push_back({.provider = "p", .model = "m", .endpoint = "e"});
    }
    trace.start = kNow;
    trace.end = kNow + std::chrono::seconds(1);
    return write_record(trace, format, {}, arena, out);
  }

 private:
  Text some_text() {
    std::uniform_real_distribution<double> magnitude(0, random_() % 500 == 0 ? 14.5 : 11.5);
    const auto size = static_cast<std::size_t>(std::exp(magnitude(random_)));
    return Text(text_).substr(random_() % (text_.size() - size), size);
  }

  std::mt19937_64 random_;
  std::string text_;
};

class ConformanceLimits : public ::testing::TestWithParam<const Destination*> {};

TEST_P(ConformanceLimits, ARandomRunNeverBecomesARequestThatIsTooLarge) {
  const Destination& type = *GetParam();
  const std::uint64_t seed = number_from("SIDECAST_TEST_SEED", std::random_device()());
  SCOPED_TRACE("SIDECAST_TEST_SEED=" + std::to_string(seed));
  const std::uint64_t count =
      number_from("SIDECAST_CONFORMANCE_RECORDS", 20'000) / destination_types().size() + 1;
  const auto made = type.make(values_of(type));
  ASSERT_TRUE(made) << made.error().message();
  const Exporter& exporter = **made;
  const Format& format = exporter.format();
  const auto* const hard = std::find_if(std::begin(kHard), std::end(kHard),
                                        [&](const Hard& each) { return each.type == type.name; });
  const bool is_bound = hard != std::end(kHard);

  auto staged = std::make_shared<Staged>();
  std::uint64_t bytes = 0;
  std::uint64_t spans = 0;
  std::uint64_t sent = 0;
  const auto flush = [&] {
    if (staged->encoded.empty()) return;
    Batch& batch = staged->batch;
    std::string body(format.prefix());
    for (std::size_t i = 0; i < staged->encoded.size(); ++i) {
      batch.records[i].encoded = staged->encoded[i];
      batch.records[i].generation_id = staged->ids[i];
      if (format.hash_records) batch.record_hashes.push_back(sha256(staged->encoded[i]));
      if (i > 0) body += format.encoder->separator;
      body += staged->encoded[i];
    }
    body += format.suffix();
    batch.uncompressed_bytes = bytes;
    batch.content_type = format.encoder->content_type;
    // Uncompressed, which is what is measured here.
    if (format.whole_batch) batch.body = std::make_shared<const std::string>(std::move(body));
    if (format.hash_body) batch.body_hash = sha256(*batch.body);
    const auto requests = exporter.encode({staged, &batch});
    ASSERT_TRUE(requests) << requests.error().message();
    std::size_t next = 0;
    for (const Request& request : *requests) {
      ASSERT_EQ(request.record_first, next) << "each record in exactly one request, in order";
      next += request.record_count;
      ASSERT_LE(request.record_count, format.limits.batch_records_max);
      if (request.record_count < 2) continue;  // alone, it is as large as it is
      std::uint64_t encoded = 0;
      for (std::size_t i = request.record_first; i < next; ++i) {
        encoded += staged->encoded[i].size();
      }
      ASSERT_LE(encoded, format.limits.batch_bytes_max);
      if (!is_bound) continue;
      ASSERT_LE(request.body_bytes(), hard->bytes);
      ASSERT_LE(request.record_count, hard->records);
    }
    ASSERT_EQ(next, staged->encoded.size());
    sent += next;
    staged = std::make_shared<Staged>();
    bytes = spans = 0;
  };

  Records records(seed);
  ByteBuffer buffer;
  for (std::uint64_t i = 0; i < count; ++i) {
    buffer.clear();
    const std::string id = "gen-" + std::to_string(i);
    const std::uint32_t span_count = records.write(format, id, buffer);
    const Limits& limits = format.limits;
    const bool fits = staged->encoded.size() < limits.batch_records_max &&
                      spans + span_count <= limits.batch_spans_max &&
                      bytes + buffer.size() <= limits.batch_bytes_max;
    if (!fits) flush();
    if (HasFatalFailure()) return;
    staged->encoded.emplace_back(buffer.view());
    staged->ids.push_back(id);
    staged->batch.records.push_back({.encoded = {},
                                     .trace_id = hash_trace_id(id),
                                     .start = kNow,
                                     .generation_id = {},
                                     .api_key_name = "a-key",
                                     .span_count = span_count});
    bytes += buffer.size();
    spans += span_count;
  }
  flush();
  EXPECT_EQ(sent, count);
}

INSTANTIATE_TEST_SUITE_P(Registry, ConformanceLimits,
                         ::testing::ValuesIn(destination_types().begin(),
                                             destination_types().end()),
                         [](const auto& param) {
                           std::string name(param.param->name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace sidecast
