// Two pieces that every assembler of streams is made of.
#pragma once

#include "engine/normalise/reading.h"

namespace sidecast {

// Members of an object as events bring them again and again: the last value that is not null
// counts.
class LastMembers {
 public:
  static constexpr std::size_t kMax = 64;  // so that a hostile stream's do not make it quadratic

  explicit LastMembers(Arena& arena) : members_(arena.resource()) {}
  void set(const JsonMember& member, Reading& reading);
  void set(Text key, Text json);
  void write(JsonWriter& out) const;
  [[nodiscard]] bool empty() const noexcept { return members_.empty(); }

 private:
  struct Entry {
    Text key;
    Text json;
  };
  ArenaVector<Entry> members_;
};

// A text in pieces that may never have come: then it is not written.
class TextField {
 public:
  explicit TextField(Arena& arena) : pieces_(arena) {}
  void append(JsonValue value, Reading& reading) {
    if (!value.is_string()) return;
    has_come_ = true;
    pieces_.append(reading.text(value));
  }
  [[nodiscard]] bool has_come() const noexcept { return has_come_; }
  [[nodiscard]] bool empty() const noexcept { return pieces_.empty(); }
  [[nodiscard]] Text join(Arena& arena) const { return pieces_.join(arena); }
  // Scrubbed once more: a data URL may have come in pieces.
  void write(Text key, Arena& arena, JsonWriter& out) const {
    if (has_come_) out.key(key).string(scrub_text(join(arena), arena));
  }

 private:
  TextPieces pieces_;
  bool has_come_ = false;
};

}  // namespace sidecast
