#include "engine/normalise/identity.h"

#include <charconv>

#include "engine/base/utf8.h"

namespace sidecast {
namespace {

// A record's place is its name: ring, lane and sequence number are never used twice.
Text make_generation_id(const shm::RingUuid& ring, std::uint32_t lane, std::uint64_t sequence,
                        Arena& arena) {
  static constexpr char kHex[] = "0123456789abcdef";
  constexpr std::size_t kSizeMax = 2 * std::tuple_size_v<shm::RingUuid> + 1 + 10 + 1 + 20;
  char* const out = arena.allocate(kSizeMax);
  char* to = out;
  for (const unsigned char byte : ring) {
    *to++ = kHex[byte >> 4U];
    *to++ = kHex[byte & 0xFU];
  }
  *to++ = '-';
  to = std::to_chars(to, out + kSizeMax, lane).ptr;
  *to++ = '-';
  to = std::to_chars(to, out + kSizeMax, sequence).ptr;
  return {out, static_cast<std::size_t>(to - out)};
}

// The first `characters` characters.
Text prefix_of(Text text, std::size_t characters) noexcept {
  std::size_t end = 0;
  while (end < text.size() && characters > 0) {
    ++end;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) ++end;
    --characters;
  }
  return text.substr(0, end);
}

// Settings are texts; a number or a boolean in their place is taken as it is written.
Text setting(JsonValue value, Reading& reading) {
  return value.is_object() || value.is_array() ? Text() : reading.text_or_json(value);
}

}  // namespace

bool add_metadatum(ArenaVector<Metadatum>& to, Text key, JsonValue value, Reading& reading) {
  if (to.size() == kMetadataMax || key.size() > kMetadataKeyMax) return false;
  Metadatum datum;
  datum.key = key;
  bool is_whole = true;
  if (const auto flag = value.boolean()) {
    datum.value = *flag;
  } else if (const auto integer = value.integer(); integer && value.raw().find('.') == Text::npos) {
    datum.value = *integer;
  } else if (const auto number = value.number()) {
    datum.value = *number;
  } else if (value.is_string()) {
    const Text text = reading.text(value);
    datum.value = utf8_prefix(text, kMetadataValueMax);
    is_whole = text.size() <= kMetadataValueMax;
  } else if (value.is_present()) {
    const Text json = value.is(JsonKind::kNumber) ? value.raw() : reading.json(value);
    if (json.size() > kMetadataValueMax) return false;
    datum.value = json;
    datum.is_json = value.is_object() || value.is_array();  // a number too large for us stays text
  }
  for (Metadatum& known : to) {
    if (known.key != datum.key) continue;
    known = datum;
    return is_whole;
  }
  to.push_back(datum);
  return is_whole;
}

void read_record_identity(const shm::RecordView& record, const shm::RingUuid& ring,
                          std::uint32_t lane, Reading& reading) {
  Identity& identity = reading.trace.identity;
  const auto valid = [&reading](Bytes bytes) { return to_valid_utf8(bytes, reading.arena); };
  identity.generation_id = valid(record.generation_id);
  if (identity.generation_id.empty()) {
    identity.generation_id = make_generation_id(ring, lane, record.sequence, reading.arena);
    identity.generation_id_is_made = true;
  }
  identity.account = valid(record.account);
  identity.api_key_id = valid(record.api_key_id);
  identity.api_key_name = valid(record.api_key_name);
  identity.user_id = valid(record.user_id);
  identity.session_id = valid(record.session_id);
}

void read_body_identity(JsonValue body, Reading& reading) {
  Identity& identity = reading.trace.identity;
  set_if_empty(identity.user_id, reading.text(body.find("user")));
  set_if_empty(identity.user_id, reading.text(body.find("metadata", "user_id")));
  set_if_empty(identity.session_id, reading.text(body.find("session_id")));
}

void read_trace_object(JsonValue object, Reading& reading) {
  if (!object.is_object()) return;
  Trace& trace = reading.trace;
  TraceSettings& settings = trace.settings;
  for (const JsonMember member : object) {
    const JsonValue value = member.value;
    if (member.key == "trace_id") {
      settings.trace_id_text = setting(value, reading);
    } else if (member.key == "trace_name") {
      settings.trace_name = setting(value, reading);
    } else if (member.key == "span_name") {
      settings.span_name = setting(value, reading);
    } else if (member.key == "generation_name") {
      settings.generation_name = setting(value, reading);
    } else if (member.key == "parent_span_id") {
      settings.parent_span_id_text = setting(value, reading);
      settings.parent_span_id = parse_span_id(settings.parent_span_id_text);
    } else {
      if (!add_metadatum(trace.metadata, reading.text(member.key_value), value, reading))
        ++trace.metadata_dropped;
      if (member.key != "tags") continue;
      for (const JsonMember tag : value) {
        if (tag.value.is_string() && trace.tags.size() < kMetadataMax) {
          trace.tags.push_back(reading.text(tag.value));
        }
      }
    }
  }
}

void read_attributes(JsonValue object, Reading& reading) {
  if (!object.is_object()) return;
  Trace& trace = reading.trace;
  for (const JsonMember member : object) {
    if (!add_metadatum(trace.attributes, reading.text(member.key_value), member.value, reading)) {
      ++trace.metadata_dropped;
    }
  }
}

void read_session_header(Reading& reading) {
  for (const Metadatum& attribute : reading.trace.attributes) {
    const bool is_header =
        attribute.key == "x-session-id" || attribute.key == "http.request.header.x-session-id";
    const Text* const text = std::get_if<Text>(&attribute.value);
    if (is_header && text != nullptr && !attribute.is_json) {
      set_if_empty(reading.trace.identity.session_id, *text);
    }
  }
}

void settle_identity(const NormaliseOptions& options, Reading& reading) {
  Trace& trace = reading.trace;
  Identity& identity = trace.identity;
  read_session_header(reading);
  for (Text* const id : {&identity.user_id, &identity.session_id}) {
    const Text cut = prefix_of(*id, options.id_characters_max);
    if (cut.size() < id->size()) ++trace.ids_cut;
    *id = cut;
  }
  TraceSettings& settings = trace.settings;
  const Text text = settings.trace_id_text;
  if (!text.empty() && !options.always_hash_trace_id) {
    if (const auto given = parse_trace_id(text)) {
      trace.trace_id = *given;
      return;
    }
  }
  settings.trace_id_hashed = !text.empty();
  if (!text.empty()) {
    trace.trace_id = hash_trace_id(text);
  } else if (trace.is_explicit_span && !settings.parent_span_id_text.empty()) {
    // A span under a generation that has no trace id of its own belongs to the generation's trace.
    trace.trace_id = hash_trace_id(settings.parent_span_id_text);
  } else {
    trace.trace_id = hash_trace_id(identity.generation_id);
  }
}

}  // namespace sidecast
