// One record: fields to bytes (writer) and bytes to fields (reader). A fixed header, then tagged
// fields; unknown tags are skipped, so that writer and engine may differ in version. Hostile input
// ends here: a RecordView never points outside the bytes it was parsed from.
//
// The layout on the bytes is drawn in LAYOUT.md and proved in layout.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace sidecast::shm {

enum class RecordKind : std::uint8_t { kGeneration = 1, kSpan = 2 };

struct AttemptView {
  std::string_view provider;
  std::string_view model;
  std::string_view endpoint;
  std::int64_t start_ns = 0;
  std::int64_t end_ns = 0;
  std::int32_t http_status = 0;
  std::string_view error_type;
  std::string_view error_message;
};

// A record's fields as views into the bytes given to parse_record(). Texts are NOT yet checked for
// UTF-8. Absent texts are empty. Reuse one object: parse_record() clears it and keeps its capacity.
struct RecordView {
  RecordKind kind = RecordKind::kGeneration;
  bool aborted = false;
  bool end_clamped = false;    // the gateway's end lay before its start
  std::uint64_t sequence = 0;  // of its lane, from 0: with ring uuid and lane it names the record

  std::string_view generation_id;
  std::string_view account;
  std::string_view api_key_id;
  std::string_view api_key_name;
  std::string_view user_id;
  std::string_view session_id;
  std::string_view trace_json;
  std::string_view attributes_json;
  std::string_view operation;
  std::string_view provider;
  std::string_view model_requested;
  std::string_view model_served;
  std::string_view endpoint;
  std::string_view region;
  std::string_view error_type;
  std::string_view error_message;

  std::int64_t start_ns = 0;
  std::int64_t first_token_ns = 0;  // 0 = absent
  std::int64_t end_ns = 0;
  std::int32_t http_status = 0;  // 0 = absent

  std::uint32_t usage_present = 0;  // SIDECAST_USAGE_... | SIDECAST_COST_...
  std::int64_t usage_input_tokens = 0;
  std::int64_t usage_output_tokens = 0;
  std::int64_t usage_total_tokens = 0;
  std::int64_t usage_cache_read_tokens = 0;
  std::int64_t usage_cache_write_tokens = 0;
  std::int64_t usage_reasoning_tokens = 0;
  double cost_total_usd = 0;
  double cost_input_usd = 0;
  double cost_output_usd = 0;

  // Whole bodies; for a span record its input and output.
  std::string_view request;
  std::string_view response;
  // Shed: the bodies were left out; their sizes, and head and tail of the response (there stand
  // model, usage and finish reason) remain. Head and tail are content and never exported as such.
  bool shed = false;
  std::uint64_t request_bytes = 0;  // as the gateway had them, shed or not
  std::uint64_t response_bytes = 0;
  std::string_view response_head;
  std::string_view response_tail;

  std::vector<AttemptView> attempts;

  // Span records only.
  std::int32_t span_kind = 0;  // sidecast_span_kind
  std::string_view span_id;
  std::string_view parent_id;
  std::string_view name;
};

enum class RecordError : std::uint8_t {
  kNone,
  kTooShort,
  kBadKind,
  kFieldOverrun,
  kBadTimes,
  kTooManyAttempts
};
[[nodiscard]] const char* describe(RecordError error) noexcept;

// `bytes` is one record as copied out of a lane, header included. On an error `view` is
// unspecified.
[[nodiscard]] RecordError parse_record(std::string_view bytes, RecordView& view);

}  // namespace sidecast::shm
