// Messages as dialects write them, and the content of a whole call as JSON text in the shape of
// chat completions: what the `generic` dialect and the native JSON of object stores share.
#pragma once

#include "engine/base/arena.h"
#include "engine/base/json_writer.h"
#include "engine/model/message.h"
#include "engine/model/trace.h"

namespace sidecast {

// Stands where content was left out on purpose (OpenInference's marker).
inline constexpr Text kRedacted = "__REDACTED__";

// One message with its parts sorted out: what is said, and what is called. A tool result is a
// message of its own with role `tool`, in front of what else its message holds, as chat completions
// have it (Anthropic puts several into one user message).
struct FlatMessage {
  explicit FlatMessage(Arena& arena) : content(arena.resource()), calls(arena.resource()) {}
  Text role;
  Text name;
  Text tool_call_id;
  Text finish_reason;
  bool from_list = false;
  ArenaVector<const Part*> content;  // anything but tool calls; a tool result is alone here
  ArenaVector<const Part*> calls;

  // One text, which was not a list in the source: dialects write it as plain text.
  [[nodiscard]] bool is_plain_text() const noexcept;
};

// In the order of the source. Views and pointers into `messages`.
[[nodiscard]] ArenaVector<FlatMessage> flatten_messages(const ArenaVector<Message>& messages,
                                                        Arena& arena);

// As chat completions have it: {"role","content",...}; a list of them for the other.
void write_chat_message(JsonWriter& json, const FlatMessage& message, Arena& arena);
void write_chat_messages(JsonWriter& json, const ArenaVector<FlatMessage>& messages, Arena& arena);

// "[file report.pdf, application/pdf, 12345 bytes left out]": what stands for media that a format
// has no place for. The same for the same input.
[[nodiscard]] Text media_note(const Part& part, Arena& arena);
[[nodiscard]] bool is_media(PartKind kind) noexcept;

// {"messages":[...]} of a chat; {"input":[...]}, {"query":...} and the like for other calls; JSON
// text always, or empty when there is no content.
[[nodiscard]] Text input_json(const Trace& trace, Arena& arena);

// The messages alone, [{"role","content",...},...]; JSON text always, or empty when there are none.
[[nodiscard]] Text messages_json(const ArenaVector<Message>& messages, Arena& arena);

// {"completion":...,"reasoning":...,"toolCalls":[...]} of the first choice, with "choices" when
// there are several; JSON text always, or empty.
[[nodiscard]] Text output_json(const Trace& trace, Arena& arena);

// What a rerank answered: [{"id","score"},...] without content, or empty.
[[nodiscard]] Text ranking_json(const Trace& trace, Arena& arena);

// The tools offered: [{"type","name","description","parameters"},...], or empty.
[[nodiscard]] Text tools_json(const Trace& trace, Arena& arena);

}  // namespace sidecast
