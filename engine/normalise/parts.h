// Messages and their parts, as requests and answers of the chat-like APIs write them: OpenAI's chat
// and Responses, Anthropic's, Mistral's, Cohere's. They differ in names more than in meaning, so
// one reader knows every part type.
#pragma once

#include "engine/normalise/reading.h"

namespace sidecast {

// Appends a message's content, a string or a list of parts.
void read_content(JsonValue content, Message& message, Reading& reading);

// Appends one part of a list.
void read_part(JsonValue part, Message& message, Reading& reading);

// One message of a list. Anthropic's tool results become messages of role "tool" of their own,
// before what else the message says.
void read_message(JsonValue message, ArenaVector<Message>& messages, Reading& reading);

// `tool_calls` of a message, and the `function_call` of old.
void read_tool_calls(JsonValue calls, Message& message, Reading& reading);

// Reasoning beside the content: `reasoning`, `reasoning_content`, `reasoning_details`.
void read_reasoning(JsonValue message, Message& to, Reading& reading);

// The tools offered: OpenAI's `tools` and `functions`, Anthropic's.
void read_tools(JsonValue tools, Reading& reading);

// What an uploaded file says of itself: {"filename","content_type","bytes"}, or "mime_type".
void set_file(JsonValue file, Part& part, Reading& reading);

// Describes media at `url` (a data URL, or a reference) or in a base64 string in `part`.
void set_media(JsonValue url, Part& part, Reading& reading);

}  // namespace sidecast
