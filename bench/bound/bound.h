// The bound: what nobody can avoid, piece by piece, timed alone on the same bytes.
// Keep it frozen: it is what the pipeline is measured against, and a faster bound would make older
// figures lie. CPU time of this process (user and system), nanoseconds per span.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "exporters/exporter.h"

namespace sidecast::bench {

struct BoundCosts {
  double copy_ns = 0;    // the record out of shared memory
  double parse_ns = 0;   // simdjson over its bodies
  double encode_ns = 0;  // a minimal encoder that writes the same attributes
  double codec_ns = 0;   // the codec on the batch
  double send_ns = 0;    // libcurl sending the batch, once per destination
  [[nodiscard]] double total() const { return copy_ns + parse_ns + encode_ns + codec_ns + send_ns; }
};

struct BoundInput {
  std::vector<std::string> records;   // as they lie in a ring
  std::vector<std::string> requests;  // bodies
  std::vector<std::string> responses;
  std::vector<SpanSet> spans;  // what the dialect makes of them
  Compression compression = Compression::kGzip;
  std::size_t batch_records = 1;  // records per request
  std::size_t destinations = 1;
  std::string url;
};

[[nodiscard]] BoundCosts measure_bound(const BoundInput& input);

}  // namespace sidecast::bench
