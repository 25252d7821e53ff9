// Shrinks a record that is encoded already: content is shortened (shorten.h), the largest first,
// until the whole takes about `bytes_max` bytes. Ids, names, attribute keys, numbers, times and
// resource attributes stay as they are. Appends the record and returns true when it became smaller;
// else nothing is appended. What is larger than `bytes_max` then cannot be made smaller.
#pragma once

#include <cstddef>

#include "engine/base/bytes.h"

namespace sidecast {

[[nodiscard]] bool shrink_otlp_protobuf(Bytes encoded, std::size_t bytes_max, ByteBuffer& out);
[[nodiscard]] bool shrink_otlp_json(Bytes encoded, std::size_t bytes_max, ByteBuffer& out);
[[nodiscard]] bool shrink_trace_json(Bytes encoded, std::size_t bytes_max, ByteBuffer& out);
// Rows and events: one JSON object, or several with commas in between.
[[nodiscard]] bool shrink_json_objects(Bytes encoded, std::size_t bytes_max, ByteBuffer& out);
// The same as the content of a JSON text, and as a line in base64.
[[nodiscard]] bool shrink_snowflake_row(Bytes encoded, std::size_t bytes_max, ByteBuffer& out);
[[nodiscard]] bool shrink_firehose_record(Bytes encoded, std::size_t bytes_max, ByteBuffer& out);

}  // namespace sidecast
