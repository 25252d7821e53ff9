#include <algorithm>
#include <span>
#include <string>

#include "engine/base/arena.h"
#include "engine/base/base64.h"
#include "engine/base/json_writer.h"
#include "exporters/encode/shorten.h"
#include "exporters/encode/shrink.h"

namespace sidecast {
namespace {

bool shrink_json(Bytes encoded, std::size_t bytes_max, std::span<const Text> kept,
                 ByteBuffer& out) {
  const std::size_t start = out.size();
  if (shorten_json(encoded, bytes_max, kept, out) && out.size() - start < encoded.size()) {
    return true;
  }
  out.truncate(start);
  return false;
}

}  // namespace

bool shrink_otlp_json(Bytes encoded, std::size_t bytes_max, ByteBuffer& out) {
  // A key that is cut could equal another one.
  static constexpr Text kKept[] = {"key", "name", "traceId", "spanId", "parentSpanId"};
  return shrink_json(encoded, bytes_max, kKept, out);
}

bool shrink_trace_json(Bytes encoded, std::size_t bytes_max, ByteBuffer& out) {
  static constexpr Text kKept[] = {"id", "sessionId", "userId"};
  return shrink_json(encoded, bytes_max, kKept, out);
}

bool shrink_json_objects(Bytes encoded, std::size_t bytes_max, ByteBuffer& out) {
  // By these rows and events are told apart, joined and found; the same in BigQuery's small
  // letters.
  static constexpr Text kKept[] = {
      "TRACE_ID",       "SPAN_ID",        "PARENT_SPAN_ID", "USER_ID",       "SESSION_ID",
      "ENTITY_ID",      "API_KEY_NAME",   "MODEL",          "trace_id",      "span_id",
      "parent_span_id", "parent_id",      "user_id",        "session_id",    "entity_id",
      "api_key_name",   "model",          "insertId",       "uuid",          "event",
      "event_id",       "convo_id",       "distinct_id",    "name",          "tool_id",
      "$ai_trace_id",   "$ai_session_id", "$ai_span_id",    "$ai_parent_id", "$ai_model"};
  std::string list = "[";
  list += encoded;
  list += ']';
  ByteBuffer smaller;
  if (!shrink_json(list, bytes_max + 2, kKept, smaller)) return false;
  out.append(smaller.view().substr(1, smaller.size() - 2));
  return true;
}

bool shrink_snowflake_row(Bytes encoded, std::size_t bytes_max, ByteBuffer& out) {
  const std::string row = json_unescaped(encoded);
  const std::size_t start = out.size();
  // Escaped it is larger, by how much depends on what is left of it.
  constexpr int kTries = 6;
  std::size_t room = bytes_max;
  for (int i = 0; i < kTries; ++i, room -= room / 3) {
    ByteBuffer smaller;
    if (!shrink_json_objects(row, room, smaller)) break;
    out.truncate(start);
    append_json_escaped(out, smaller.view());
    if (out.size() - start <= bytes_max) break;
  }
  if (out.size() > start && out.size() - start < encoded.size()) return true;
  out.truncate(start);
  return false;
}

bool shrink_firehose_record(Bytes encoded, std::size_t bytes_max, ByteBuffer& out) {
  constexpr Text kBefore = R"({"Data":")";
  constexpr Text kAfter = R"("})";
  if (!encoded.starts_with(kBefore) || !encoded.ends_with(kAfter)) return false;
  Arena arena(encoded.size());
  const auto line = from_base64(
      encoded.substr(kBefore.size(), encoded.size() - kBefore.size() - kAfter.size()), arena);
  if (!line || !line->ends_with('\n')) return false;
  const std::size_t room = bytes_max / 4 * 3;
  ByteBuffer smaller;
  if (!shrink_trace_json(line->substr(0, line->size() - 1), room - std::min<std::size_t>(room, 16),
                         smaller)) {
    return false;
  }
  smaller.push_back('\n');
  out.append(kBefore);
  out.append(to_base64(smaller.view()));
  out.append(kAfter);
  return true;
}

}  // namespace sidecast
