#include "engine/normalise/anthropic_stream.h"

#include "engine/normalise/last_members.h"

namespace sidecast {
namespace {

constexpr std::size_t kBlocksMax = 4096;

struct Block {
  explicit Block(Arena& arena)
      : members(arena),
        text(arena),
        thinking(arena),
        signature(arena),
        input(arena),
        citations(arena.resource()) {}
  std::int64_t index = 0;
  LastMembers members;  // of content_block, but for those in pieces below
  TextField text;
  TextField thinking;
  TextField signature;
  TextField input;   // pieces of JSON
  Text first_input;  // as content_block had it; counts if no pieces came
  ArenaVector<Text> citations;
};

class Assembly {
 public:
  Assembly(Reading& reading, StreamReader& stream)
      : reading_(reading),
        stream_(stream),
        message_(reading.arena),
        usage_(reading.arena),
        rest_(reading.arena),
        blocks_(reading.arena.resource()) {}

  void add(JsonValue event) {
    const Text type = event.find("type").word();
    if (type == "message_start") {
      for (const JsonMember member : event.find("message")) add_message_member(member);
    } else if (type == "content_block_start") {
      start_block(event);
    } else if (type == "content_block_delta") {
      add_delta(event);
    } else if (type == "message_delta") {
      for (const JsonMember member : event.find("delta")) add_message_member(member);
      add_usage(event.find("usage"));
    } else if (type == "error") {
      for (const JsonMember member : event) {
        if (member.key == "error") rest_.set(member, reading_);
      }
    } else if (type == "message_stop") {
      stream_.note_end();  // also where its event has no name
    }
    // Bedrock's own numbers at the end; pings and stops of blocks say nothing.
  }

  [[nodiscard]] bool is_empty() const noexcept {
    return message_.empty() && blocks_.empty() && rest_.empty();
  }

  void write(JsonWriter& out) {
    out.begin_object();
    message_.write(out);
    rest_.write(out);
    if (!message_.empty() || !blocks_.empty()) {
      out.key("content").begin_array();
      for (const Block& block : blocks_) write_block(block, out);
      out.end_array();
    }
    if (!usage_.empty()) {
      out.key("usage").begin_object();
      usage_.write(out);
      out.end_object();
    }
    out.end_object();
  }

 private:
  void add_message_member(const JsonMember& member) {
    if (member.key == "usage") {
      add_usage(member.value);
    } else if (member.key == "id") {  // the first of several messages names the answer
      if (!has_id_) message_.set(member, reading_);
      has_id_ = true;
    } else if (member.key != "content") {
      message_.set(member, reading_);
    }
  }

  void add_usage(JsonValue usage) {
    for (const JsonMember member : usage) usage_.set(member, reading_);
  }

  Block* block_at(std::int64_t index) {
    for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) {
      if (block->index == index) return &*block;
    }
    if (blocks_.size() == kBlocksMax) return nullptr;
    Block& block = blocks_.emplace_back(reading_.arena);
    block.index = index;
    return &block;
  }

  void start_block(JsonValue event) {
    // Always a new one: where a stream holds several messages, each counts its blocks from 0.
    if (blocks_.size() == kBlocksMax) return;
    Block* const block = &blocks_.emplace_back(reading_.arena);
    block->index = event.find("index").integer().value_or(0);
    for (const JsonMember member : event.find("content_block")) {
      if (member.key == "text") {
        block->text.append(member.value, reading_);
      } else if (member.key == "thinking") {
        block->thinking.append(member.value, reading_);
      } else if (member.key == "signature") {
        block->signature.append(member.value, reading_);
      } else if (member.key == "input") {
        block->first_input = reading_.json(member.value);
      } else if (member.key == "data" && member.value.is_string()) {
        // Of redacted thinking: opaque like a signature. Media here are no more than a field named
        // so.
        block->members.set("data", member.value.raw());
      } else if (member.key != "citations") {
        block->members.set(member, reading_);
      }
    }
  }

  void add_delta(JsonValue event) {
    Block* const block = block_at(event.find("index").integer().value_or(0));
    if (block == nullptr) return;
    for (const JsonMember member : event.find("delta")) {
      if (member.key == "text") {
        block->text.append(member.value, reading_);
      } else if (member.key == "thinking") {
        block->thinking.append(member.value, reading_);
      } else if (member.key == "signature") {
        block->signature.append(member.value, reading_);
      } else if (member.key == "partial_json") {
        block->input.append(member.value, reading_);
      } else if (member.key == "citation" && block->citations.size() < kBlocksMax) {
        block->citations.push_back(reading_.json(member.value));
      }
    }
  }

  void write_block(const Block& block, JsonWriter& out) {
    Arena& arena = reading_.arena;
    out.begin_object();
    block.members.write(out);
    block.text.write("text", arena, out);
    block.thinking.write("thinking", arena, out);
    block.signature.write("signature", arena, out);
    if (!block.citations.empty()) {
      out.key("citations").begin_array();
      for (const Text citation : block.citations) out.raw(citation);
      out.end_array();
    }
    if (!block.input.empty()) {
      // Cut off in the middle it is no JSON and stays the text that came.
      const Text input = scrub_text(block.input.join(arena), arena);
      out.key("input");
      stream_.is_json(input) ? out.raw(input) : out.string(input);
    } else if (!block.first_input.empty()) {
      out.key("input").raw(block.first_input);
    }
    out.end_object();
  }

  Reading& reading_;
  StreamReader& stream_;
  bool has_id_ = false;
  LastMembers message_;
  LastMembers usage_;
  LastMembers rest_;
  ArenaVector<Block> blocks_;
};

}  // namespace

bool assemble_anthropic(StreamReader& stream, Reading& reading, JsonWriter& out) {
  Assembly assembly(reading, stream);
  while (const std::optional<StreamEvent> event = stream.next()) assembly.add(event->value);
  if (assembly.is_empty()) return false;
  assembly.write(out);
  return true;
}

}  // namespace sidecast
