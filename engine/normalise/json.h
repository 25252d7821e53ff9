// JSON as the normaliser needs it: random access to every value, and the value's own text. simdjson
// finds and checks the structure (its stage 1: UTF-8, quotes, control characters, all brackets and
// commas); instead of its tape, which copies every string and forgets where it stood, a lean second
// stage builds a tree of 16-byte nodes that point into the text. So a string without escapes, a
// whole object or the body itself is a view, and nothing is ever written again as JSON just to be
// passed on.
//
// The second stage checks all that JSON asks for: grammar, literals, numbers and escapes. Bounds:
// the nesting and the number of nodes; what exceeds them is not JSON to us, and the caller falls
// back to text. With a key given twice the last one counts, as in the vendors' own SDKs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/base/arena.h"
#include "engine/base/bytes.h"

namespace sidecast {

enum class JsonKind : std::uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };

class JsonDocument;

// One value of a document; valid as long as the document is not parsed into again. A value that is
// not there (a missing key) is false, and every question about it answers "nothing".
class JsonValue {
 public:
  JsonValue() = default;
  JsonValue(const JsonDocument* document, std::uint32_t index) noexcept
      : document_(document), index_(index) {}

  explicit operator bool() const noexcept { return document_ != nullptr; }
  [[nodiscard]] bool is(JsonKind kind) const noexcept;
  [[nodiscard]] bool is_string() const noexcept { return is(JsonKind::kString); }
  [[nodiscard]] bool is_array() const noexcept { return is(JsonKind::kArray); }
  [[nodiscard]] bool is_object() const noexcept { return is(JsonKind::kObject); }
  // There, and not null.
  [[nodiscard]] bool is_present() const noexcept {
    return document_ != nullptr && !is(JsonKind::kNull);
  }

  // The value as it stands in the text, a string with its quotes. Not scrubbed.
  [[nodiscard]] Text raw() const noexcept;
  // A string's content between its quotes, escapes undone; a view when it has none. Not scrubbed.
  [[nodiscard]] Text string(Arena& arena) const;
  // A string's content as it stands, escapes and all: for comparing with known words.
  [[nodiscard]] Text word() const noexcept;
  [[nodiscard]] bool has_escapes() const noexcept;
  // Numbers: an integral double counts as an integer; what does not fit is nothing.
  [[nodiscard]] std::optional<std::int64_t> integer() const noexcept;
  [[nodiscard]] std::optional<double> number() const noexcept;
  [[nodiscard]] std::optional<bool> boolean() const noexcept;

  // An object's member; nothing when this is no object or has no such key.
  [[nodiscard]] JsonValue find(Text key) const noexcept;
  [[nodiscard]] JsonValue find(Text outer, Text inner) const noexcept {
    return find(outer).find(inner);
  }

  // An object's members (key, value) or an array's elements (no key).
  class Iterator;
  [[nodiscard]] Iterator begin() const noexcept;
  [[nodiscard]] Iterator end() const noexcept;
  [[nodiscard]] bool is_empty() const noexcept;  // no member, no element, or no container at all

 private:
  const JsonDocument* document_ = nullptr;
  std::uint32_t index_ = 0;
};

struct JsonMember {
  Text key;  // as it stands in the text; empty for an array's element
  JsonValue key_value;
  JsonValue value;
};

class JsonDocument {
 public:
  // What a valid document holds that must not leave as it is.
  struct Findings {
    bool has_lone_surrogate = false;  // an escape like \ud800 that is no character
    bool has_hidden_media = false;    // characters of a data URL written as \u escapes
  };

  [[nodiscard]] JsonValue root() const noexcept { return {this, 0}; }
  [[nodiscard]] Text text() const noexcept { return text_; }
  [[nodiscard]] const Findings& findings() const noexcept { return findings_; }

 private:
  friend class JsonParser;
  friend class JsonValue;
  friend class TreeBuilder;

  struct Node {
    std::uint32_t begin;  // offsets into the text
    std::uint32_t end;
    std::uint32_t next;  // index of the node after this one and all that is in it
    JsonKind kind;
    bool has_escapes;
  };

  Text text_;
  std::vector<Node> nodes_;  // in the order of the text; an object's key stands before its value
  Findings findings_;
};

class JsonValue::Iterator {
 public:
  Iterator(const JsonDocument* document, std::uint32_t index, bool in_object) noexcept
      : document_(document), index_(index), in_object_(in_object) {}
  [[nodiscard]] JsonMember operator*() const noexcept;
  Iterator& operator++() noexcept;
  bool operator==(const Iterator& other) const noexcept { return index_ == other.index_; }

 private:
  const JsonDocument* document_;
  std::uint32_t index_;
  bool in_object_;
};

inline bool JsonValue::is(JsonKind kind) const noexcept {
  return document_ != nullptr && document_->nodes_[index_].kind == kind;
}

inline Text JsonValue::raw() const noexcept {
  if (document_ == nullptr) return {};
  const JsonDocument::Node& node = document_->nodes_[index_];
  return {document_->text_.data() + node.begin, node.end - node.begin};
}

inline Text JsonValue::word() const noexcept {
  if (!is_string()) return {};
  const Text quoted = raw();
  return {quoted.data() + 1, quoted.size() - 2};
}

inline bool JsonValue::has_escapes() const noexcept {
  return document_ != nullptr && document_->nodes_[index_].has_escapes;
}

inline JsonMember JsonValue::Iterator::operator*() const noexcept {
  if (!in_object_) return {{}, {}, {document_, index_}};
  const JsonValue key(document_, index_);
  return {key.word(), key, {document_, index_ + 1}};
}

inline JsonValue::Iterator& JsonValue::Iterator::operator++() noexcept {
  index_ = document_->nodes_[in_object_ ? index_ + 1 : index_].next;
  return *this;
}

inline JsonValue::Iterator JsonValue::begin() const noexcept {
  const bool in_object = is_object();
  if (!in_object && !is_array()) return {document_, 0, false};
  return {document_, index_ + 1, in_object};
}

inline JsonValue::Iterator JsonValue::end() const noexcept {
  const bool in_object = is_object();
  if (!in_object && !is_array()) return {document_, 0, false};
  return {document_, document_->nodes_[index_].next, in_object};
}

inline bool JsonValue::is_empty() const noexcept {
  return begin() == end();
}

inline JsonValue JsonValue::find(Text key) const noexcept {
  JsonValue found;
  if (!is_object()) return found;
  for (const JsonMember member : *this) {
    if (member.key == key) found = member.value;
  }
  return found;
}

enum class JsonStatus : std::uint8_t { kOk, kNotUtf8, kInvalid };

// Owns simdjson's part. One per Normaliser; its documents may be many.
class JsonParser {
 public:
  JsonParser();
  ~JsonParser();
  JsonParser(const JsonParser&) = delete;
  JsonParser& operator=(const JsonParser&) = delete;

  // The document's values are views into `text`, which needs no padding. Unless kOk comes back the
  // document is empty and its root is null.
  [[nodiscard]] JsonStatus parse(Text text, JsonDocument& document);

  static constexpr std::uint32_t kDepthMax = 512;
  static constexpr std::uint32_t kNodesMax = 4U << 20U;  // 64 MiB of nodes

 private:
  struct Stage1;
  std::unique_ptr<Stage1> stage1_;
};

// `json` with every lone surrogate replaced by \ufffd and every needless \u escape of a character
// that a data URL may hold undone: the same values, fit to leave. `json` must be valid JSON.
[[nodiscard]] Text rewrite_escapes(Text json, Arena& arena);

}  // namespace sidecast
