// Amazon Bedrock's Converse, and Nova's InvokeModel, whose events say their name inside.
// Specification: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
#include "engine/normalise/api.h"
#include "engine/normalise/last_members.h"
#include "engine/normalise/parts.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

constexpr std::size_t kBlocksMax = 4096;

void read_tool_result(JsonValue result, ArenaVector<Message>& messages, Reading& reading) {
  Message& message = messages.emplace_back(reading.arena);
  message.role = "tool";
  message.tool_call_id = reading.text(result.find("toolUseId"));
  Part& part = message.parts.emplace_back();
  part.kind = PartKind::kToolResult;
  part.id = message.tool_call_id;
  const JsonValue content = result.find("content");
  TextPieces pieces(reading.arena);
  for (const JsonMember element : content) {
    const JsonValue text = element.value.find("text");
    if (!text.is_string()) {  // {"json":...}, images, documents
      part.text = reading.json(content);
      return;
    }
    if (!pieces.empty()) pieces.append("\n");
    pieces.append(reading.text(text));
  }
  part.text = pieces.join(reading.arena);
}

void read_media(PartKind kind, JsonValue source, Part& part, Reading& reading) {
  part.kind = kind;
  const JsonValue bytes = source.find("source", "bytes");
  set_media(bytes ? bytes : source.find("source").find("s3Location", "uri"), part, reading);
  set_if_empty(part.mime_type, reading.text(source.find("format")));
  part.name = reading.text(source.find("name"));
}

void read_block(JsonValue block, Message& message, Reading& reading) {
  Part part;
  const JsonValue text = block.find("text");
  const JsonValue call = block.find("toolUse");
  const JsonValue reasoning = block.find("reasoningContent");
  if (text.is_string()) {
    part.text = reading.text(text);
  } else if (call.is_object()) {
    part.kind = PartKind::kToolCall;
    part.id = reading.text(call.find("toolUseId"));
    part.name = reading.text(call.find("name"));
    part.text = reading.text_or_json(call.find("input"));
  } else if (reasoning.is_object()) {
    part.kind = PartKind::kReasoning;
    part.text = reading.text(reasoning.find("reasoningText", "text"));
    const JsonValue signature = reasoning.find("reasoningText", "signature");
    const JsonValue redacted = reasoning.find("redactedContent");
    if (signature.is_string()) part.signature = reading.opaque(signature);
    if (redacted.is_string()) part.signature = reading.opaque(redacted);
  } else if (const JsonValue image = block.find("image"); image.is_object()) {
    read_media(PartKind::kImage, image, part, reading);
  } else if (const JsonValue document = block.find("document"); document.is_object()) {
    read_media(PartKind::kFile, document, part, reading);
  } else if (const JsonValue video = block.find("video"); video.is_object()) {
    read_media(PartKind::kVideo, video, part, reading);
  } else {
    part.kind = PartKind::kOther;
    for (const JsonMember member : block) part.type = reading.text(member.key_value);
    part.text = reading.json(block);
  }
  message.parts.push_back(part);
}

void read_converse_message(JsonValue source, ArenaVector<Message>& messages, Reading& reading) {
  const JsonValue content = source.find("content");
  bool has_others = content.is_empty();
  for (const JsonMember element : content) {
    const JsonValue result = element.value.find("toolResult");
    if (result.is_object()) {
      read_tool_result(result, messages, reading);
    } else {
      has_others = true;
    }
  }
  if (!has_others) return;
  Message& message = messages.emplace_back(reading.arena);
  message.role = reading.text(source.find("role"));
  message.from_list = true;
  for (const JsonMember element : content) {
    if (!element.value.find("toolResult")) read_block(element.value, message, reading);
  }
}

void read_request(JsonValue body, Reading& reading) {
  read_parameters(body, reading);
  ArenaVector<Message>& messages = reading.trace.input_messages;
  const JsonValue system = body.find("system");
  if (!system.is_empty()) {
    Message& message = messages.emplace_back(reading.arena);
    message.role = "system";
    message.from_list = true;
    for (const JsonMember element : system) read_block(element.value, message, reading);
  }
  for (const JsonMember element : body.find("messages")) {
    read_converse_message(element.value, messages, reading);
  }
  for (const JsonMember element : body.find("toolConfig", "tools")) {
    const JsonValue spec = element.value.find("toolSpec");
    if (!spec.is_object()) continue;
    Tool& tool = reading.trace.tools.emplace_back();
    tool.type = "function";
    tool.name = reading.text(spec.find("name"));
    tool.description = reading.text(spec.find("description"));
    tool.parameters = reading.json(spec.find("inputSchema", "json"));
    tool.json = reading.json(element.value);
  }
}

void read_response(JsonValue body, Reading& reading) {
  Trace& trace = reading.trace;
  const JsonValue message = body.find("output", "message");
  if (!message.is_object()) return;
  const Text reason = reading.text(body.find("stopReason"));
  trace.finish_reasons.push_back(reason);
  read_converse_message(message, trace.output_messages, reading);
  if (trace.output_messages.empty()) return;
  Message& answer = trace.output_messages.back();
  set_if_empty(answer.role, "assistant");
  answer.finish_reason = reason;
}

// ---- Streams ------------------------------------------------------------------------------------

struct Block {
  explicit Block(Arena& arena)
      : text(arena), reasoning(arena), signature(arena), redacted(arena), input(arena) {}
  std::int64_t index = 0;
  bool is_tool_use = false;
  Text tool_use_id;
  Text tool_name;
  TextField text;
  TextField reasoning;
  TextField signature;
  TextField redacted;
  TextField input;

  [[nodiscard]] bool is_text() const noexcept {
    return !is_tool_use && !input.has_come() && !redacted.has_come() && !reasoning.has_come() &&
           !signature.has_come();
  }
};

class Assembly {
 public:
  Assembly(Reading& reading, StreamReader& stream)
      : reading_(reading),
        stream_(stream),
        members_(reading.arena),
        blocks_(reading.arena.resource()) {}

  void add(const StreamEvent& event) {
    JsonValue value = event.value;
    // Nova's InvokeModel names the event inside: {"contentBlockDelta":{...}}.
    for (const Text wrapper : {"messageStart", "contentBlockStart", "contentBlockDelta",
                               "contentBlockStop", "messageStop", "metadata"}) {
      const JsonValue wrapped = event.value.find(wrapper);
      if (wrapped.is_object()) value = wrapped;
    }
    if (const JsonValue index = value.find("contentBlockIndex")) {
      if (Block* const block = block_at(index.integer().value_or(0))) add_to_block(value, *block);
      return;
    }
    for (const JsonMember member : value) {
      if (member.key == "role" || member.key == "stopReason" || member.key == "usage" ||
          member.key == "metrics" || member.key == "additionalModelResponseFields" ||
          member.key == "error") {
        members_.set(member, reading_);
      }
    }
  }

  [[nodiscard]] bool is_empty() const noexcept { return members_.empty() && blocks_.empty(); }

  void write(JsonWriter& out) {
    out.begin_object();
    members_.write(out);
    out.key("output").begin_object().key("message").begin_object();
    out.key("role").string("assistant").key("content").begin_array();
    for (std::size_t i = 0; i < blocks_.size();) i = write_block(i, out);
    out.end_array().end_object().end_object().end_object();
  }

 private:
  Block* block_at(std::int64_t index) {
    for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) {
      if (block->index == index) return &*block;
    }
    if (blocks_.size() == kBlocksMax) return nullptr;
    Block& block = blocks_.emplace_back(reading_.arena);
    block.index = index;
    return &block;
  }

  void add_to_block(JsonValue event, Block& block) {
    const JsonValue started = event.find("start", "toolUse");
    if (started.is_object()) {
      block.is_tool_use = true;
      block.tool_use_id = reading_.text(started.find("toolUseId"));
      block.tool_name = reading_.text(started.find("name"));
    }
    const JsonValue delta = event.find("delta");
    block.text.append(delta.find("text"), reading_);
    block.input.append(delta.find("toolUse", "input"), reading_);
    const JsonValue reasoning = delta.find("reasoningContent");
    block.reasoning.append(reasoning.find("text"), reading_);
    block.signature.append(reasoning.find("signature"), reading_);
    block.redacted.append(reasoning.find("redactedContent"), reading_);
  }

  // Returns the index behind it: Nova counts a block up for every piece of text, so neighbouring
  // blocks of text are one.
  [[nodiscard]] std::size_t write_block(std::size_t index, JsonWriter& out) {
    Arena& arena = reading_.arena;
    const Block& block = blocks_[index];
    out.begin_object();
    if (block.is_tool_use || block.input.has_come()) {
      out.key("toolUse").begin_object();
      out.key("toolUseId").string(block.tool_use_id).key("name").string(block.tool_name);
      const Text input = scrub_text(block.input.join(arena), arena);
      out.key("input");
      if (input.empty()) {
        out.raw("{}");
      } else {
        stream_.is_json(input) ? out.raw(input) : out.string(input);
      }
      out.end_object();
    } else if (block.redacted.has_come()) {
      out.key("reasoningContent").begin_object();
      block.redacted.write("redactedContent", arena, out);
      out.end_object();
    } else if (block.reasoning.has_come() || block.signature.has_come()) {
      out.key("reasoningContent").begin_object().key("reasoningText").begin_object();
      block.reasoning.write("text", arena, out);
      block.signature.write("signature", arena, out);
      out.end_object().end_object();
    } else {
      TextPieces text(arena);
      for (; index < blocks_.size() && blocks_[index].is_text(); ++index) {
        text.append(blocks_[index].text.join(arena));
      }
      out.key("text").string(scrub_text(text.join(arena), arena)).end_object();
      return index;
    }
    out.end_object();
    return index + 1;
  }

  Reading& reading_;
  StreamReader& stream_;
  LastMembers members_;
  ArenaVector<Block> blocks_;
};

bool assemble(StreamReader& stream, Reading& reading, JsonWriter& out) {
  Assembly assembly(reading, stream);
  while (const std::optional<StreamEvent> event = stream.next()) assembly.add(*event);
  if (assembly.is_empty()) return false;
  assembly.write(out);
  return true;
}

}  // namespace

const Api kConverse{"bedrock converse",
                    Operation::kChat,
                    TraceKind::kLlm,
                    &read_request,
                    &read_response,
                    &assemble,
                    true};

}  // namespace sidecast
