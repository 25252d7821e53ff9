#include "shm/encode.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>

#include "shm/layout.h"
#include "shm/record.h"

namespace sidecast::shm {
namespace {

// One list of the texts of each struct, so that measuring and writing cannot disagree.
template <typename Visit>
inline void visit_texts(const sidecast_generation& g, Visit&& visit) {
  visit(Tag::kGenerationId, g.generation_id);
  visit(Tag::kAccount, g.account);
  visit(Tag::kApiKeyId, g.api_key_id);
  visit(Tag::kApiKeyName, g.api_key_name);
  visit(Tag::kUserId, g.user_id);
  visit(Tag::kSessionId, g.session_id);
  visit(Tag::kTraceJson, g.trace_json);
  visit(Tag::kAttributesJson, g.attributes_json);
  visit(Tag::kOperation, g.operation);
  visit(Tag::kProvider, g.provider);
  visit(Tag::kModelRequested, g.model_requested);
  visit(Tag::kModelServed, g.model_served);
  visit(Tag::kEndpoint, g.endpoint);
  visit(Tag::kRegion, g.region);
  visit(Tag::kErrorType, g.error_type);
  visit(Tag::kErrorMessage, g.error_message);
}

template <typename Visit>
inline void visit_texts(const sidecast_span& s, Visit&& visit) {
  visit(Tag::kSpanId, s.span_id);
  visit(Tag::kParentId, s.parent_id);
  visit(Tag::kName, s.name);
  visit(Tag::kAccount, s.account);
  visit(Tag::kApiKeyId, s.api_key_id);
  visit(Tag::kApiKeyName, s.api_key_name);
  visit(Tag::kUserId, s.user_id);
  visit(Tag::kSessionId, s.session_id);
  visit(Tag::kTraceJson, s.trace_json);
  visit(Tag::kAttributesJson, s.attributes_json);
  visit(Tag::kErrorType, s.error_type);
  visit(Tag::kErrorMessage, s.error_message);
}

template <typename Visit>
inline void visit_attempt_texts(const sidecast_attempt& attempt, Visit&& visit) {
  visit(Tag::kProvider, attempt.provider);
  visit(Tag::kModelServed, attempt.model);
  visit(Tag::kEndpoint, attempt.endpoint);
  visit(Tag::kErrorType, attempt.error_type);
  visit(Tag::kErrorMessage, attempt.error_message);
}

// Attempts of a program built with a header whose sidecast_attempt was shorter or longer than ours.
template <typename Visit>
inline void visit_attempts(const sidecast_generation& g, Visit&& visit) {
  const char* at = reinterpret_cast<const char*>(g.attempts);
  for (std::uint32_t i = 0; i < g.attempt_count; ++i) {
    std::size_t stride = 0;
    std::memcpy(&stride, at, sizeof stride);
    sidecast_attempt attempt = {};
    std::memcpy(&attempt, at, std::min(stride, sizeof attempt));
    visit(attempt);
    at += stride;
  }
}
template <typename Visit>
inline void visit_attempts(const sidecast_span&, Visit&&) {}

const sidecast_body& request_of(const sidecast_generation& g) noexcept {
  return g.request;
}
const sidecast_body& request_of(const sidecast_span& s) noexcept {
  return s.input;
}
const sidecast_body& response_of(const sidecast_generation& g) noexcept {
  return g.response;
}
const sidecast_body& response_of(const sidecast_span& s) noexcept {
  return s.output;
}
std::uint32_t usage_present(const sidecast_generation& g) noexcept {
  return g.usage_present;
}
std::uint32_t usage_present(const sidecast_span&) noexcept {
  return 0;
}

// A field is there if its value is.
std::uint64_t field_bytes(std::uint64_t value_bytes) noexcept {
  return value_bytes == 0 ? 0 : sizeof(FieldHeader) + value_bytes;
}

std::uint64_t record_bytes(std::uint64_t all_field_bytes) noexcept {
  const std::uint64_t bytes = sizeof(RecordHeader) + all_field_bytes + sizeof(RecordTrailer);
  return (bytes + kRecordAlign - 1) & ~(kRecordAlign - 1);
}

// Collects what may be wrong with a caller's pointers and sizes without a branch for each.
class Checks {
 public:
  void text(const void* data, std::uint64_t size) noexcept {
    size_bits_ |= size;
    is_null_ |= static_cast<unsigned>(data == nullptr) & static_cast<unsigned>(size != 0);
  }
  // A size of 4 GiB or more is a caller's mistake (a negative length, say) and would let the sum of
  // all overflow.
  [[nodiscard]] bool is_valid() const noexcept { return is_null_ == 0 && size_bits_ >> 32 == 0; }

 private:
  std::uint64_t size_bits_ = 0;
  unsigned is_null_ = 0;
};

// Pieces beyond this are a caller's mistake; it also keeps the sum of their sizes below 64 bits.
constexpr std::size_t kSlicesMax = 1u << 24;

std::uint64_t measure_body(const sidecast_body& body, Checks& checks) noexcept {
  checks.text(body.slices, body.count);
  if (body.slices == nullptr || body.count > kSlicesMax) {
    if (body.count != 0) checks.text(nullptr, 1);
    return 0;
  }
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < body.count; ++i) {
    checks.text(body.slices[i].data, body.slices[i].size);
    bytes += body.slices[i].size;
  }
  return bytes;
}

bool has_sound_attempts(const sidecast_generation& g) noexcept {
  if (g.attempt_count == 0) return true;
  if (g.attempts == nullptr || g.attempt_count > kAttemptsMax) return false;
  // The size member, and a whole number of pointers: a stride that keeps the array aligned.
  const std::size_t stride = g.attempts->struct_size;
  if (stride < sizeof(std::size_t) || stride > 4096 || stride % sizeof(void*) != 0) return false;
  const char* at = reinterpret_cast<const char*>(g.attempts);
  for (std::uint32_t i = 0; i < g.attempt_count; ++i, at += stride) {
    std::size_t size = 0;
    std::memcpy(&size, at, sizeof size);
    if (size != stride) return false;
  }
  return true;
}
bool has_sound_attempts(const sidecast_span&) noexcept {
  return true;
}

template <typename Source>
Measure measure_source(const Source& source) noexcept {
  Measure measured;
  if (source.start_ns <= 0 || !has_sound_attempts(source)) return measured;
  Checks checks;
  std::uint64_t text_bytes = 0;
  visit_texts(source, [&](Tag, const sidecast_text& text) {
    checks.text(text.data, text.size);
    text_bytes += field_bytes(text.size);
  });
  visit_attempts(source, [&](const sidecast_attempt& attempt) {
    text_bytes += sizeof(FieldHeader) + sizeof(AttemptField);
    visit_attempt_texts(attempt, [&](Tag, const sidecast_text& text) {
      checks.text(text.data, text.size);
      text_bytes += text.size;
    });
  });
  if (usage_present(source) != 0) text_bytes += sizeof(FieldHeader) + sizeof(UsageField);
  measured.text_bytes = text_bytes;
  measured.request_bytes = measure_body(request_of(source), checks);
  measured.response_bytes = measure_body(response_of(source), checks);
  measured.whole_bytes = record_bytes(text_bytes + field_bytes(measured.request_bytes) +
                                      field_bytes(measured.response_bytes));
  measured.is_valid = checks.is_valid();
  return measured;
}

// ---- What is left out of a shed record
// -----------------------------------------------------------

struct ShedEnds {
  std::uint64_t head_bytes;
  std::uint64_t tail_bytes;
};

ShedEnds ends_of(std::uint64_t response_bytes) noexcept {
  const std::uint64_t head = std::min(response_bytes, kShedHeadBytes);
  return {head, std::min(response_bytes - head, kShedTailBytes)};
}

// Of the texts that most records have. A sum that overflows is of sizes that no record has.
std::uint64_t common_text_bytes(const sidecast_generation& g) noexcept {
  return g.generation_id.size + g.account.size + g.api_key_id.size + g.operation.size +
         g.provider.size + g.model_requested.size + g.model_served.size;
}
std::uint64_t common_text_bytes(const sidecast_span& s) noexcept {
  return s.span_id.size + s.account.size + s.name.size;
}

template <typename Source>
std::uint64_t least_source_bytes(const Source& source) noexcept {
  constexpr std::size_t kSlicesLookedAt = 4;
  const sidecast_body& response = response_of(source);
  if (source.start_ns <= 0 || response.count > kSlicesLookedAt) return 0;
  if (response.count != 0 && response.slices == nullptr) return 0;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < response.count; ++i) {
    const std::uint64_t size = response.slices[i].size;
    if (size > std::numeric_limits<std::uint32_t>::max()) return 0;
    bytes += size;
  }
  const ShedEnds kept = ends_of(bytes);
  return kRecordBytesMin + common_text_bytes(source) + kept.head_bytes + kept.tail_bytes;
}

// How much of a text a shed record keeps. One object per pass: the JSON texts share a budget.
class ShedLimits {
 public:
  [[nodiscard]] std::uint64_t keep(Tag tag, std::uint64_t size) noexcept {
    if (tag == Tag::kErrorMessage) return std::min(size, kShedErrorMessageBytes);
    if (tag != Tag::kTraceJson && tag != Tag::kAttributesJson) return size;
    if (size > json_bytes_left_) return 0;  // half a JSON text is none
    json_bytes_left_ -= size;
    return size;
  }

 private:
  std::uint64_t json_bytes_left_ = kShedJsonBytes;
};

std::uint64_t shed_record_bytes(const Measure& measured, std::uint64_t left_out) noexcept {
  const ShedEnds ends = ends_of(measured.response_bytes);
  return record_bytes(measured.text_bytes - left_out + field_bytes(sizeof(BodySizesField)) +
                      field_bytes(ends.head_bytes) + field_bytes(ends.tail_bytes));
}

template <typename Source>
std::uint64_t shed_source_bytes(const Source& source, const Measure& measured) noexcept {
  std::uint64_t left_out = 0;
  ShedLimits limits;
  if (measured.text_bytes <= kShedErrorMessageBytes) {
    // Nothing can be over its limit: the usual case, and the one that a full ring asks all the
    // time.
    static_assert(kShedErrorMessageBytes <= kShedJsonBytes);
    return shed_record_bytes(measured, 0);
  }
  visit_texts(source, [&](Tag tag, const sidecast_text& text) {
    left_out += field_bytes(text.size) - field_bytes(limits.keep(tag, text.size));
  });
  visit_attempts(source, [&](const sidecast_attempt& attempt) {
    visit_attempt_texts(attempt, [&](Tag tag, const sidecast_text& text) {
      left_out += text.size - limits.keep(tag, text.size);
    });
  });
  return shed_record_bytes(measured, left_out);
}

// ---- Writing
// ---------------------------------------------------------------------------------------

// memcpy of a size known only at run time is a call; most texts are shorter than what a call costs.
// Two overlapping copies of a fixed size cover every size between it and its double.
inline void copy(char* to, const char* from, std::uint64_t size) noexcept {
  const auto both_ends = [&](auto word) {
    std::memcpy(&word, from, sizeof word);
    auto last = word;
    std::memcpy(&last, from + size - sizeof last, sizeof last);
    std::memcpy(to, &word, sizeof word);
    std::memcpy(to + size - sizeof last, &last, sizeof last);
  };
  struct Words {
    std::uint64_t low;
    std::uint64_t high;
  };
  if (size > 32) {
    std::memcpy(to, from, size);
  } else if (size >= 16) {
    both_ends(Words{});
  } else if (size >= 8) {
    both_ends(std::uint64_t{});
  } else if (size >= 4) {
    both_ends(std::uint32_t{});
  } else {
    for (std::uint64_t i = 0; i < size; ++i) to[i] = from[i];
  }
}

class FieldWriter {
 public:
  explicit FieldWriter(char* out) noexcept : out_(out) {}

  void header(Tag tag, std::uint64_t value_bytes) noexcept {
    const FieldHeader header{.tag = static_cast<std::uint16_t>(tag),
                             .reserved = 0,
                             .size_bytes = static_cast<std::uint32_t>(value_bytes)};
    fixed(header);
  }
  void raw(const void* bytes, std::uint64_t size) noexcept {
    if (size == 0) return;  // memcpy from null is undefined even then
    copy(out_, static_cast<const char*>(bytes), size);
    out_ += size;
  }
  template <typename Value>
  void fixed(const Value& value) noexcept {
    std::memcpy(out_, &value, sizeof value);
    out_ += sizeof value;
  }
  void text(Tag tag, const char* value, std::uint64_t size) noexcept {
    if (size == 0) return;
    header(tag, size);
    raw(value, size);
  }
  template <typename Value>
  void value(Tag tag, const Value& value) noexcept {
    header(tag, sizeof value);
    fixed(value);
  }
  // Bytes [from, from + size) of a body.
  void body(Tag tag, const sidecast_body& body, std::uint64_t from, std::uint64_t size) noexcept {
    if (size == 0) return;
    header(tag, size);
    for (std::size_t i = 0; size != 0; ++i) {
      const sidecast_slice& slice = body.slices[i];
      if (from >= slice.size) {
        from -= slice.size;
        continue;
      }
      const std::uint64_t part = std::min<std::uint64_t>(slice.size - from, size);
      raw(static_cast<const char*>(slice.data) + from, part);
      size -= part;
      from = 0;
    }
  }
  [[nodiscard]] char* position() const noexcept { return out_; }

 private:
  char* out_;
};

void write_usage(const sidecast_generation& g, FieldWriter& fields) noexcept {
  if (g.usage_present == 0) return;
  fields.value(Tag::kUsage, UsageField{.present = g.usage_present,
                                       .reserved = 0,
                                       .input_tokens = g.usage_input_tokens,
                                       .output_tokens = g.usage_output_tokens,
                                       .total_tokens = g.usage_total_tokens,
                                       .cache_read_tokens = g.usage_cache_read_tokens,
                                       .cache_write_tokens = g.usage_cache_write_tokens,
                                       .reasoning_tokens = g.usage_reasoning_tokens,
                                       .cost_total_usd = g.cost_total_usd,
                                       .cost_input_usd = g.cost_input_usd,
                                       .cost_output_usd = g.cost_output_usd});
}
void write_usage(const sidecast_span&, FieldWriter&) noexcept {}

template <typename Keep>
void write_attempt(const sidecast_attempt& attempt, Keep&& keep, FieldWriter& fields) noexcept {
  std::uint32_t sizes[5] = {};
  std::uint64_t bytes = sizeof(AttemptField);
  int count = 0;
  visit_attempt_texts(attempt, [&](Tag tag, const sidecast_text& text) {
    sizes[count] = static_cast<std::uint32_t>(keep(tag, text.size));
    bytes += sizes[count++];
  });
  fields.header(Tag::kAttempt, bytes);
  const AttemptField field{.start_ns = attempt.start_ns,
                           .end_ns = attempt.end_ns,
                           .http_status = attempt.http_status,
                           .provider_bytes = sizes[0],
                           .model_bytes = sizes[1],
                           .endpoint_bytes = sizes[2],
                           .error_type_bytes = sizes[3],
                           .error_message_bytes = sizes[4]};
  fields.fixed(field);
  count = 0;
  visit_attempt_texts(
      attempt, [&](Tag, const sidecast_text& text) { fields.raw(text.data, sizes[count++]); });
}

template <typename Source, typename Keep>
void write_texts(const Source& source, Keep&& keep, FieldWriter& fields) noexcept {
  visit_texts(source, [&](Tag tag, const sidecast_text& text) {
    fields.text(tag, text.data, keep(tag, text.size));
  });
  write_usage(source, fields);
  visit_attempts(source,
                 [&](const sidecast_attempt& attempt) { write_attempt(attempt, keep, fields); });
}

RecordKind kind_of(const sidecast_generation&) noexcept {
  return RecordKind::kGeneration;
}
RecordKind kind_of(const sidecast_span&) noexcept {
  return RecordKind::kSpan;
}
std::int64_t first_token_of(const sidecast_generation& g) noexcept {
  return g.first_token_ns;
}
std::int64_t first_token_of(const sidecast_span&) noexcept {
  return 0;
}
std::int32_t http_status_of(const sidecast_generation& g) noexcept {
  return g.http_status;
}
std::int32_t http_status_of(const sidecast_span&) noexcept {
  return 0;
}
std::int32_t span_kind_of(const sidecast_generation&) noexcept {
  return 0;
}
std::int32_t span_kind_of(const sidecast_span& s) noexcept {
  return s.kind;
}

template <typename Source>
void encode_source(const Source& source, const Measure& measured, Detail detail,
                   std::uint64_t sequence, char* out, std::uint64_t size_bytes) noexcept {
  // Zeroes the padding, which may be an old record's bytes; the fields then overwrite the rest of
  // it.
  std::memset(out + size_bytes - sizeof(RecordTrailer) - kRecordAlign, 0, kRecordAlign);
  FieldWriter fields(out + sizeof(RecordHeader));
  if (detail == Detail::kWhole) {
    write_texts(
        source, [](Tag, std::uint64_t size) { return size; }, fields);
    fields.body(Tag::kRequest, request_of(source), 0, measured.request_bytes);
    fields.body(Tag::kResponse, response_of(source), 0, measured.response_bytes);
  } else {
    ShedLimits limits;
    write_texts(
        source, [&](Tag tag, std::uint64_t size) { return limits.keep(tag, size); }, fields);
    fields.value(Tag::kBodySizes, BodySizesField{.request_bytes = measured.request_bytes,
                                                 .response_bytes = measured.response_bytes});
    const ShedEnds ends = ends_of(measured.response_bytes);
    const sidecast_body& response = response_of(source);
    fields.body(Tag::kResponseHead, response, 0, ends.head_bytes);
    fields.body(Tag::kResponseTail, response, measured.response_bytes - ends.tail_bytes,
                ends.tail_bytes);
  }
  std::uint8_t flags = detail == Detail::kShed ? kRecordShed : 0;
  if ((source.flags & SIDECAST_WRITE_ABORTED) != 0) flags |= kRecordAborted;
  std::int64_t end_ns = source.end_ns;
  if (end_ns < source.start_ns) {
    end_ns = source.start_ns;
    flags |= kRecordEndClamped;
  }
  // Built in its place: a header filled in field by field elsewhere and then copied by wider words
  // would wait for its own stores.
  new (out) RecordHeader{
      .size_bytes = static_cast<std::uint32_t>(size_bytes),
      .header_bytes = sizeof(RecordHeader),
      .kind = static_cast<std::uint8_t>(kind_of(source)),
      .flags = flags,
      .sequence = sequence,
      .start_ns = source.start_ns,
      .first_token_ns = first_token_of(source),
      .end_ns = end_ns,
      .http_status = http_status_of(source),
      .span_kind = span_kind_of(source),
      .field_bytes =
          static_cast<std::uint32_t>(fields.position() - out) - std::uint32_t{sizeof(RecordHeader)},
      .reserved = 0,
  };
}

}  // namespace

Measure measure(const sidecast_generation& generation) noexcept {
  return measure_source(generation);
}
Measure measure(const sidecast_span& span) noexcept {
  return measure_source(span);
}

std::uint64_t least_bytes(const sidecast_generation& generation) noexcept {
  return least_source_bytes(generation);
}
std::uint64_t least_bytes(const sidecast_span& span) noexcept {
  return least_source_bytes(span);
}

std::uint64_t shed_bytes(const sidecast_generation& generation, const Measure& measured) noexcept {
  return shed_source_bytes(generation, measured);
}
std::uint64_t shed_bytes(const sidecast_span& span, const Measure& measured) noexcept {
  return shed_source_bytes(span, measured);
}

void encode(const sidecast_generation& generation, const Measure& measured, Detail detail,
            std::uint64_t sequence, char* out, std::uint64_t size_bytes) noexcept {
  encode_source(generation, measured, detail, sequence, out, size_bytes);
}
void encode(const sidecast_span& span, const Measure& measured, Detail detail,
            std::uint64_t sequence, char* out, std::uint64_t size_bytes) noexcept {
  encode_source(span, measured, detail, sequence, out, size_bytes);
}

}  // namespace sidecast::shm
