#include "shm/record.h"

#include <cstring>
#include <type_traits>

#include "shm/layout.h"

namespace sidecast::shm {
namespace {

// Reads values off the front of a view; never beyond its end.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) noexcept : bytes_(bytes) {}

  template <typename Value>
  [[nodiscard]] bool take(Value& value) noexcept {
    static_assert(std::is_trivially_copyable_v<Value>);
    if (bytes_.size() < sizeof value) return false;
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return true;
  }
  [[nodiscard]] bool take(std::uint64_t size, std::string_view& text) noexcept {
    if (bytes_.size() < size) return false;
    text = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return true;
  }
  [[nodiscard]] bool is_at_end() const noexcept { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

bool parse_attempt(std::string_view value, AttemptView& attempt) noexcept {
  Cursor cursor(value);
  AttemptField field;
  if (!cursor.take(field)) return false;
  attempt.start_ns = field.start_ns;
  attempt.end_ns = field.end_ns;
  attempt.http_status = field.http_status;
  // What is left behind the texts is a later version's.
  return cursor.take(field.provider_bytes, attempt.provider) &&
         cursor.take(field.model_bytes, attempt.model) &&
         cursor.take(field.endpoint_bytes, attempt.endpoint) &&
         cursor.take(field.error_type_bytes, attempt.error_type) &&
         cursor.take(field.error_message_bytes, attempt.error_message);
}

bool parse_usage(std::string_view value, RecordView& view) noexcept {
  UsageField field;
  if (!Cursor(value).take(field)) return false;
  view.usage_present = field.present;
  view.usage_input_tokens = field.input_tokens;
  view.usage_output_tokens = field.output_tokens;
  view.usage_total_tokens = field.total_tokens;
  view.usage_cache_read_tokens = field.cache_read_tokens;
  view.usage_cache_write_tokens = field.cache_write_tokens;
  view.usage_reasoning_tokens = field.reasoning_tokens;
  view.cost_total_usd = field.cost_total_usd;
  view.cost_input_usd = field.cost_input_usd;
  view.cost_output_usd = field.cost_output_usd;
  return true;
}

// Where a field that is nothing but text goes; null for all others.
std::string_view* text_of(Tag tag, RecordView& view) noexcept {
  switch (tag) {
    case Tag::kGenerationId:
      return &view.generation_id;
    case Tag::kAccount:
      return &view.account;
    case Tag::kApiKeyId:
      return &view.api_key_id;
    case Tag::kApiKeyName:
      return &view.api_key_name;
    case Tag::kUserId:
      return &view.user_id;
    case Tag::kSessionId:
      return &view.session_id;
    case Tag::kTraceJson:
      return &view.trace_json;
    case Tag::kAttributesJson:
      return &view.attributes_json;
    case Tag::kOperation:
      return &view.operation;
    case Tag::kProvider:
      return &view.provider;
    case Tag::kModelRequested:
      return &view.model_requested;
    case Tag::kModelServed:
      return &view.model_served;
    case Tag::kEndpoint:
      return &view.endpoint;
    case Tag::kRegion:
      return &view.region;
    case Tag::kErrorType:
      return &view.error_type;
    case Tag::kErrorMessage:
      return &view.error_message;
    case Tag::kSpanId:
      return &view.span_id;
    case Tag::kParentId:
      return &view.parent_id;
    case Tag::kName:
      return &view.name;
    case Tag::kRequest:
      return &view.request;
    case Tag::kResponse:
      return &view.response;
    case Tag::kResponseHead:
      return &view.response_head;
    case Tag::kResponseTail:
      return &view.response_tail;
    case Tag::kUsage:
    case Tag::kAttempt:
    case Tag::kBodySizes:
      return nullptr;
  }
  return nullptr;
}

RecordError parse_field(Tag tag, std::string_view value, RecordView& view) {
  if (std::string_view* const text = text_of(tag, view)) {
    *text = value;
    return RecordError::kNone;
  }
  switch (tag) {
    case Tag::kUsage:
      return parse_usage(value, view) ? RecordError::kNone : RecordError::kFieldOverrun;
    case Tag::kAttempt: {
      if (view.attempts.size() >= kAttemptsMax) return RecordError::kTooManyAttempts;
      AttemptView& attempt = view.attempts.emplace_back();
      return parse_attempt(value, attempt) ? RecordError::kNone : RecordError::kFieldOverrun;
    }
    case Tag::kBodySizes: {
      BodySizesField sizes;
      if (!Cursor(value).take(sizes)) return RecordError::kFieldOverrun;
      view.request_bytes = sizes.request_bytes;
      view.response_bytes = sizes.response_bytes;
      return RecordError::kNone;
    }
    default:
      return RecordError::kNone;  // a later version's field
  }
}

void clear(RecordView& view) {
  std::vector<AttemptView> attempts = std::move(view.attempts);
  attempts.clear();
  view = RecordView{};
  view.attempts = std::move(attempts);  // its capacity is worth keeping
}

}  // namespace

const char* describe(RecordError error) noexcept {
  switch (error) {
    case RecordError::kNone:
      return "sound";
    case RecordError::kTooShort:
      return "shorter than its header says";
    case RecordError::kBadKind:
      return "of an unknown kind";
    case RecordError::kFieldOverrun:
      return "a field reaches beyond the record";
    case RecordError::kBadTimes:
      return "impossible times";
    case RecordError::kTooManyAttempts:
      return "too many attempts";
  }
  return "unknown error";
}

RecordError parse_record(std::string_view bytes, RecordView& view) {
  clear(view);
  RecordHeader header;
  if (!Cursor(bytes).take(header) || bytes.size() < kRecordBytesMin) return RecordError::kTooShort;
  const std::uint64_t fields_end = std::uint64_t{header.header_bytes} + header.field_bytes;
  if (header.size_bytes != bytes.size() || header.header_bytes < sizeof header ||
      fields_end > bytes.size() - sizeof(RecordTrailer)) {
    return RecordError::kTooShort;
  }
  if (header.kind != static_cast<std::uint8_t>(RecordKind::kGeneration) &&
      header.kind != static_cast<std::uint8_t>(RecordKind::kSpan)) {
    return RecordError::kBadKind;
  }
  if (header.start_ns <= 0 || header.end_ns < header.start_ns) return RecordError::kBadTimes;

  view.kind = static_cast<RecordKind>(header.kind);
  view.aborted = (header.flags & kRecordAborted) != 0;
  view.end_clamped = (header.flags & kRecordEndClamped) != 0;
  view.shed = (header.flags & kRecordShed) != 0;
  view.sequence = header.sequence;
  view.start_ns = header.start_ns;
  view.first_token_ns = header.first_token_ns;
  view.end_ns = header.end_ns;
  view.http_status = header.http_status;
  view.span_kind = header.span_kind;

  Cursor cursor(bytes.substr(header.header_bytes, header.field_bytes));
  while (!cursor.is_at_end()) {
    FieldHeader field;
    std::string_view value;
    if (!cursor.take(field) || !cursor.take(field.size_bytes, value)) {
      return RecordError::kFieldOverrun;
    }
    const RecordError error = parse_field(static_cast<Tag>(field.tag), value, view);
    if (error != RecordError::kNone) return error;
  }
  if (!view.shed) {
    view.request_bytes = view.request.size();
    view.response_bytes = view.response.size();
  }
  return RecordError::kNone;
}

}  // namespace sidecast::shm
