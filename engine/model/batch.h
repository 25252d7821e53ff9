// A batch: spans of some records for the destinations of one group, frozen. Shared read-only by
// those destinations' queues; a retry sends the same bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/clock.h"
#include "engine/base/sha256.h"
#include "engine/model/ids.h"

namespace sidecast {

// One record's encoded spans, as they lie in the stage, with what exporters may need to name or
// address them. Views are valid as long as the batch.
struct BatchRecord {
  Bytes encoded;
  TraceId trace_id;
  Timestamp start;
  Text generation_id;
  Text api_key_name;
  std::uint32_t span_count = 0;
};

struct Batch {
  std::vector<BatchRecord> records;  // never empty
  // What records.front() views when it is smaller than what was staged; else null.
  std::shared_ptr<const ByteBuffer> shrunk;
  // SHA-256 of each record's encoded bytes, where the format asks for it (hash_records); else
  // empty.
  std::vector<Sha256> record_hashes;
  // SHA-256 of `body` as it is sent, where the format asks for it (hash_body).
  std::optional<Sha256> body_hash;
  // All records in one body: framed by the group's encoder, then compressed. Empty when the
  // destination sends each record by itself.
  std::shared_ptr<const std::string> body;
  Text content_type;      // of the encoder; static storage
  Text content_encoding;  // "gzip", "zstd" or empty; static storage
  std::uint64_t uncompressed_bytes = 0;
};

}  // namespace sidecast
