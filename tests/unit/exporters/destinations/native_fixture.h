// What the tests of destinations with an API of their own share: one made from its defaults, a
// batch of known records as the engine would freeze it, and answers.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/sha256.h"
#include "exporters/compress/compress.h"
#include "exporters/registry.h"
#include "exporters/write.h"
#include "tests/unit/exporters/dialects/trace_fixture.h"

namespace sidecast {

using OptionChanges = std::vector<std::pair<std::string, std::string>>;

inline constexpr Timestamp kTestNow = Timestamp(std::chrono::seconds(1'700'000'100));

inline Result<std::unique_ptr<const Exporter>> make_destination(std::string_view type,
                                                                const OptionChanges& changes,
                                                                const OptionChanges& headers = {}) {
  const Destination* const destination = find_destination_type(type);
  OptionValues options;
  for (const Option& option : destination->options) {
    if (!option.secret) options.values.emplace(option.name, option.fallback);
  }
  for (const auto& [name, value] : changes) {
    EXPECT_TRUE(options.values.contains(name)) << name;
    options.values.insert_or_assign(name, value);
  }
  for (const auto& [name, value] : headers) options.headers.emplace(name, value);
  return destination->make(options);
}

// One trace as a record of that destination.
inline std::string encoded_record(const Exporter& exporter, const Trace& trace,
                                  bool privacy_mode = false) {
  Arena arena;
  ByteBuffer out;
  write_record(trace, exporter.format(), {.enabled = privacy_mode, .keep = nullptr}, arena, out);
  return std::string(out.view());
}

struct FrozenBatch {
  std::vector<std::string> encoded;
  std::vector<std::string> ids;
  Batch batch;
};

// Records with the ids gen-0, gen-1, ..., frozen as the batcher does it.
inline std::shared_ptr<const Batch> frozen_batch(const Format& format,
                                                 std::vector<std::string> encoded) {
  auto frozen = std::make_shared<FrozenBatch>();
  frozen->encoded = std::move(encoded);
  std::string body(format.prefix());
  for (std::size_t i = 0; i < frozen->encoded.size(); ++i) {
    frozen->ids.push_back("gen-" + std::to_string(i));
  }
  for (std::size_t i = 0; i < frozen->encoded.size(); ++i) {
    BatchRecord record;
    record.encoded = frozen->encoded[i];
    record.generation_id = frozen->ids[i];
    record.trace_id = hash_trace_id(frozen->ids[i]);
    record.start = timestamp_from_ns(kStartNs);
    record.span_count = 1;
    frozen->batch.records.push_back(record);
    if (format.hash_records) frozen->batch.record_hashes.push_back(sha256(record.encoded));
    if (i > 0) body += format.encoder->separator;
    body += frozen->encoded[i];
  }
  body += format.suffix();
  frozen->batch.uncompressed_bytes = body.size();
  frozen->batch.content_type = format.encoder->content_type;
  if (format.whole_batch) {
    Compressor compressor;
    const Bytes pieces[] = {body};
    frozen->batch.body =
        std::make_shared<const std::string>(compressor.compress(format.compression, pieces));
    frozen->batch.content_encoding = content_encoding(format.compression);
    if (format.hash_body) frozen->batch.body_hash = sha256(*frozen->batch.body);
  }
  return {frozen, &frozen->batch};
}

inline std::string body_of(const Request& request) {
  std::string body;
  for (const Bytes piece : request.body) body += piece;
  return body;
}

inline std::string header_of(const Request& request, std::string_view name) {
  for (const Header& header : request.headers) {
    if (header.name == name) return header.value;
  }
  return {};
}

inline Response answer_of(int status, std::string body = {}, std::vector<Header> headers = {}) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  response.headers = std::move(headers);
  return response;
}

}  // namespace sidecast
