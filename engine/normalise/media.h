// Media leave: images, sound, video and files inlined in a body become a note of their type and
// size. Found are data URLs anywhere, also in the escaped JSON of a tool call, and base64 in the
// fields in which the APIs carry it ("data", "bytes", "b64_json", ...), at any depth of escaping.
// One pass over the text that looks at a few bytes of every 64; bodies without media stay as they
// are.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/arena.h"
#include "engine/base/bytes.h"

namespace sidecast {

// Some of a text that a note replaces.
struct MediaSpan {
  std::size_t begin;  // offsets into the text
  std::size_t end;
  std::uint64_t omitted_bytes;  // of the base64 itself
  Text mime_type;               // empty: not known
};

// The media of one text, in order and disjoint. Reused from text to text.
class MediaSpans {
 public:
  void find(Text text);
  [[nodiscard]] bool empty() const noexcept { return spans_.empty(); }

  // A part of the text that find() saw, with notes in place of media: the part itself when it holds
  // none, else a copy in the arena. Text that is not part of it comes back as it is.
  [[nodiscard]] Text scrub(Text part, Arena& arena) const;
  [[nodiscard]] bool is_in(Text part) const noexcept { return first_in(part) != spans_.size(); }
  // The first that begins in the part, or null.
  [[nodiscard]] const MediaSpan* first(Text part) const noexcept;

 private:
  [[nodiscard]] std::size_t first_in(Text part) const noexcept;
  void find_data_urls();
  void find_fields();

  Text text_;
  std::vector<MediaSpan> spans_;
};

// The note that stands for media of a type and size: "[audio/mpeg, 28320 bytes left out]".
[[nodiscard]] Text media_note(Text mime_type, std::uint64_t omitted_bytes, Arena& arena);

// Text that stands in no body: decoded strings, and what a stream assembled.
[[nodiscard]] Text scrub_text(Text text, Arena& arena);

}  // namespace sidecast
