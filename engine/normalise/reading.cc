#include "engine/normalise/reading.h"

#include <algorithm>
#include <cstring>

namespace sidecast {

Text TextPieces::join(Arena& arena) const {
  if (pieces_.empty()) return {};
  if (pieces_.size() == 1) return pieces_.front();
  char* const joined = arena.allocate(size_bytes_);
  char* to = joined;
  for (const Text piece : pieces_) {
    std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  }
  return {joined, size_bytes_};
}

Text Reading::text(JsonValue value) const {
  if (!value.is_string()) return {};
  if (!value.has_escapes()) return media->scrub(value.word(), arena);
  const Text decoded = value.string(arena);
  return media->is_in(value.word()) ? scrub_text(decoded, arena) : decoded;
}

Text Reading::json(JsonValue value) const {
  if (!value.is_present()) return {};
  return media->scrub(value.raw(), arena);
}

Text Reading::opaque(JsonValue value) const {
  if (!value.is_string()) return {};
  const Text decoded = value.string(arena);
  return decoded.find(";base64,") == Text::npos ? decoded : scrub_text(decoded, arena);
}

Text Reading::text_or_json(JsonValue value) const {
  return value.is_string() ? text(value) : json(value);
}

void Reading::add_fact(Text key, JsonValue value) {
  if (const auto flag = value.boolean()) {
    add_fact(key, Scalar(*flag));
  } else if (const auto integer = value.integer()) {
    add_fact(key, Scalar(*integer));
  } else if (const auto number = value.number()) {
    add_fact(key, Scalar(*number));
  } else if (value.is_string() && value.word().size() <= 128) {
    add_fact(key, Scalar(text(value)));
  }
}

void Reading::add_fact(Text key, Scalar value) {
  constexpr std::size_t kFactsMax = 64;  // a hostile answer's must not make it quadratic
  if (trace.facts.size() >= kFactsMax) return;
  const bool is_known = std::any_of(trace.facts.begin(), trace.facts.end(),
                                    [key](const Metadatum& fact) { return fact.key == key; });
  if (!is_known) trace.facts.push_back({key, value});
}

}  // namespace sidecast
