// What was said: messages, their parts, and the tools offered. All text is valid UTF-8 and lives in
// the record's copy or in the worker's arena.
#pragma once

#include <cstdint>

#include "engine/base/arena.h"
#include "engine/base/bytes.h"

namespace sidecast {

enum class PartKind {
  kText,
  kReasoning,  // thinking the model showed; `signature` holds the provider's opaque proof
  kRefusal,
  kToolCall,    // id, name, text = arguments exactly as the model produced them
  kToolResult,  // id = call it answers, text = result
  kImage,       // media: bytes are left out; see the media fields
  kAudio,
  kVideo,
  kFile,
  kOther,  // unknown part: `type` as sent, text = its compact JSON with media scrubbed
};

struct Part {
  PartKind kind = PartKind::kText;
  Text text;
  Text type;       // as the provider names it (kOther, hosted tools); else empty
  Text id;         // tool call id, or the provider's item id of a reasoning part
  Text name;       // tool name, or file name
  Text signature;  // opaque provider blob of a reasoning part, or of a tool call
  // Media only.
  Text mime_type;
  Text url;      // reference to media elsewhere, without its query string; empty when inlined
  Text file_id;  // provider's id of an uploaded file
  std::uint64_t omitted_bytes = 0;  // size of the inlined media that was left out (as encoded)
};

struct Message {
  explicit Message(Arena& arena) : parts(arena.resource()) {}
  Text role;
  Text name;
  Text tool_call_id;       // on role tool
  Text finish_reason;      // output only, as received; empty = none came
  bool from_list = false;  // the source's content was a list of parts, not a string
  ArenaVector<Part> parts;
};

struct Tool {
  Text type;  // "function" or the provider's hosted tool type
  Text name;
  Text description;
  Text parameters;  // JSON text of the parameter schema, or empty
  Text json;        // the whole element as JSON text
};

}  // namespace sidecast
