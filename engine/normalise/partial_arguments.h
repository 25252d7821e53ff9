// The arguments of a Gemini call that streams them, as paths with pieces of their values:
// {"jsonPath":"$.stops[0].city","stringValue":"Bos"}. They come in the order of the document.
#pragma once

#include "engine/base/json_writer.h"
#include "engine/normalise/last_members.h"

namespace sidecast {

class PartialArguments {
 public:
  explicit PartialArguments(Arena& arena) : arguments_(arena.resource()) {}

  void add(JsonValue pieces, Reading& reading);
  // As one object.
  void write(Arena& arena, JsonWriter& out) const;

 private:
  static constexpr std::size_t kMax = 256;
  struct Argument {
    explicit Argument(Arena& arena) : text(arena) {}
    Text path;
    TextField text;
    Text json;  // of a value that is no text
  };

  ArenaVector<Argument> arguments_;
};

}  // namespace sidecast
