#include "engine/normalise/openai_chat_stream.h"

#include <algorithm>

#include "engine/normalise/last_members.h"

namespace sidecast {
namespace {

// More than any model answers with: a hostile stream must not make searching quadratic.
constexpr std::size_t kChoicesMax = 256;
constexpr std::size_t kPartsMax = 1024;

struct ToolCall {
  explicit ToolCall(Arena& arena) : name(arena), arguments(arena) {}
  std::int64_t index = 0;
  Text id;
  Text type;
  TextField name;
  TextField arguments;
};

// A reasoning detail: text or summary in pieces, the rest as it came.
struct Detail {
  explicit Detail(Arena& arena) : text(arena), summary(arena), data(arena), rest(arena) {}
  Text type;
  std::optional<std::int64_t> index;
  TextField text;
  TextField summary;
  TextField data;
  LastMembers rest;
};

struct Choice {
  explicit Choice(Arena& arena)
      : content(arena),
        reasoning(arena),
        reasoning_content(arena),
        refusal(arena),
        text(arena),
        transcript(arena),
        function_name(arena),
        function_arguments(arena),
        calls(arena.resource()),
        details(arena.resource()),
        images(arena.resource()),
        annotations(arena.resource()),
        rest_of_message(arena),
        rest_of_choice(arena) {}
  std::int64_t index = 0;
  Text role = "assistant";
  TextField content;
  TextField reasoning;
  TextField reasoning_content;
  TextField refusal;
  TextField text;  // of a legacy completion
  TextField transcript;
  Text audio_id;
  TextField function_name;
  TextField function_arguments;
  ArenaVector<ToolCall> calls;
  ArenaVector<Detail> details;
  ArenaVector<Text> images;
  ArenaVector<Text> annotations;
  LastMembers rest_of_message;
  LastMembers rest_of_choice;
};

class Assembly {
 public:
  explicit Assembly(Reading& reading)
      : reading_(reading), choices_(reading.arena.resource()), members_(reading.arena) {}

  void add(JsonValue chunk) {
    // The last chunk of who was asked for usage; some send neither a reason nor [DONE] with it.
    const JsonValue choices = chunk.find("choices");
    has_usage_alone_ = choices.is_array() && choices.is_empty() && chunk.find("usage").is_object();
    for (const JsonMember member : chunk) {
      if (member.key == "choices" || member.key == "outputs") {
        is_chat_ = true;
        is_grpc_ = is_grpc_ || member.key == "outputs";
        for (const JsonMember choice : member.value) add_choice(choice.value);
      } else if (member.key == "error") {
        is_chat_ = true;
        members_.set(member, reading_);
      } else if (member.key == "id") {
        if (has_id_ || member.value.word().empty()) continue;
        has_id_ = true;
        members_.set(member, reading_);
      } else if (member.value.word() == "chat.completion.chunk") {
        members_.set("object", "\"chat.completion\"");
      } else {
        members_.set(member, reading_);
      }
    }
  }

  // Something a chat completion brings, or an error instead of it.
  [[nodiscard]] bool is_chat() const noexcept { return is_chat_; }
  // xAI's: that it is over stands beside the messages, and a finish reason may be left out.
  [[nodiscard]] bool is_grpc() const noexcept { return is_grpc_; }
  [[nodiscard]] bool has_usage_alone() const noexcept { return has_usage_alone_; }

  void write(JsonWriter& out) {
    std::stable_sort(choices_.begin(), choices_.end(),
                     [](const Choice& a, const Choice& b) { return a.index < b.index; });
    out.begin_object();
    members_.write(out);
    out.key("choices").begin_array();
    for (const Choice& choice : choices_) write_choice(choice, out);
    out.end_array().end_object();
  }

 private:
  void add_choice(JsonValue source) {
    Choice* const choice = choice_at(source.find("index").integer().value_or(0));
    if (choice == nullptr) return;
    // Perplexity sends with each piece the whole message so far.
    const bool has_delta = source.find("delta").is_object();
    for (const JsonMember member : source) {
      if (member.key == "delta") {
        add_delta(member.value, *choice);
      } else if (member.key == "message") {
        if (!has_delta) add_delta(member.value, *choice);
      } else if (member.key == "text") {
        choice->text.append(member.value, reading_);
      } else if (member.key != "index" && member.key != "logprobs") {
        choice->rest_of_choice.set(member, reading_);
      }
    }
  }

  Choice* choice_at(std::int64_t index) {
    for (Choice& choice : choices_) {
      if (choice.index == index) return &choice;
    }
    if (choices_.size() == kChoicesMax) return nullptr;
    Choice& choice = choices_.emplace_back(reading_.arena);
    choice.index = index;
    return &choice;
  }

  void add_delta(JsonValue delta, Choice& choice) {
    for (const JsonMember member : delta) {
      const JsonValue value = member.value;
      if (member.key == "content") {
        add_content(value, choice);
      } else if (member.key == "role") {
        if (!value.word().empty()) choice.role = reading_.text(value);
      } else if (member.key == "reasoning") {
        choice.reasoning.append(value, reading_);
      } else if (member.key == "reasoning_content") {
        choice.reasoning_content.append(value, reading_);
      } else if (member.key == "refusal") {
        choice.refusal.append(value, reading_);
      } else if (member.key == "tool_calls") {
        for (const JsonMember call : value) add_call(call.value, choice);
      } else if (member.key == "function_call") {
        choice.function_name.append(value.find("name"), reading_);
        choice.function_arguments.append(value.find("arguments"), reading_);
      } else if (member.key == "reasoning_details") {
        for (const JsonMember detail : value) add_detail(detail.value, choice);
      } else if (member.key == "audio") {
        choice.transcript.append(value.find("transcript"), reading_);
        set_if_empty(choice.audio_id, reading_.text(value.find("id")));
      } else if (member.key == "images") {
        add_all(value, choice.images);
      } else if (member.key == "annotations") {
        add_all(value, choice.annotations);
      } else {
        choice.rest_of_message.set(member, reading_);
      }
    }
  }

  void add_all(JsonValue list, ArenaVector<Text>& to) {
    for (const JsonMember element : list) {
      if (to.size() < kPartsMax) to.push_back(reading_.json(element.value));
    }
  }

  // Mistral streams content also as a list of parts, with thinking among them.
  void add_content(JsonValue content, Choice& choice) {
    choice.content.append(content, reading_);
    if (!content.is_array()) return;
    for (const JsonMember part : content) {
      choice.content.append(part.value.find("text"), reading_);
      for (const JsonMember thought : part.value.find("thinking")) {
        choice.reasoning_content.append(thought.value.find("text"), reading_);
      }
    }
  }

  void add_call(JsonValue source, Choice& choice) {
    ToolCall* const call = call_for(source, choice);
    if (call == nullptr) return;
    set_if_empty(call->id, reading_.text(source.find("id")));
    set_if_empty(call->type, reading_.text(source.find("type")));
    const JsonValue custom = source.find("custom");
    const JsonValue function = custom ? custom : source.find("function");
    // The name comes once; who repeats it in every piece does not mean to prolong it.
    if (call->name.empty()) call->name.append(function.find("name"), reading_);
    const JsonValue arguments = function.find(custom ? "input" : "arguments");
    call->arguments.append(arguments, reading_);
  }

  // By its index. Where servers leave the index out, or give every call of an answer the same, a
  // new id begins a new call.
  ToolCall* call_for(JsonValue source, Choice& choice) {
    const std::optional<std::int64_t> index = source.find("index").integer();
    const Text id = source.find("id").word();
    if (!choice.calls.empty()) {
      for (auto call = choice.calls.rbegin(); call != choice.calls.rend(); ++call) {
        const bool is_same_id = id.empty() || call->id.empty() || call->id == id;
        if (is_same_id && (!index || call->index == *index)) return &*call;
        if (!index && id.empty()) break;
      }
    }
    if (choice.calls.size() == kPartsMax) return nullptr;
    ToolCall& call = choice.calls.emplace_back(reading_.arena);
    call.index = index.value_or(static_cast<std::int64_t>(choice.calls.size()) - 1);
    return &call;
  }

  // Pieces of one detail share index and type; where servers give no index, they follow each other.
  void add_detail(JsonValue source, Choice& choice) {
    const Text type = source.find("type").word();
    const std::optional<std::int64_t> index = source.find("index").integer();
    const bool continues = !choice.details.empty() && choice.details.back().type == type &&
                           choice.details.back().index == index && type != "reasoning.encrypted";
    if (!continues) {
      if (choice.details.size() == kPartsMax) return;
      Detail& detail = choice.details.emplace_back(reading_.arena);
      detail.type = type;
      detail.index = index;
    }
    Detail& detail = choice.details.back();
    for (const JsonMember member : source) {
      if (member.key == "text") {
        detail.text.append(member.value, reading_);
      } else if (member.key == "summary" && member.value.is_string()) {
        detail.summary.append(member.value, reading_);
      } else {
        detail.rest.set(member, reading_);
      }
    }
  }

  void write_choice(const Choice& choice, JsonWriter& out) {
    Arena& arena = reading_.arena;
    out.begin_object().key("index").integer(choice.index);
    if (choice.text.has_come()) {
      choice.text.write("text", arena, out);
    } else {
      out.key("message").begin_object().key("role").string(choice.role);
      if (choice.content.has_come()) {
        choice.content.write("content", arena, out);
      } else {
        out.key("content").null();
      }
      choice.reasoning.write("reasoning", arena, out);
      choice.reasoning_content.write("reasoning_content", arena, out);
      choice.refusal.write("refusal", arena, out);
      write_details(choice, out);
      write_calls(choice, out);
      write_list("images", choice.images, out);
      write_list("annotations", choice.annotations, out);
      if (choice.transcript.has_come() || !choice.audio_id.empty()) {
        out.key("audio").begin_object().key("id").string(choice.audio_id);
        choice.transcript.write("transcript", arena, out);
        out.end_object();
      }
      choice.rest_of_message.write(out);
      out.end_object();
    }
    choice.rest_of_choice.write(out);
    out.end_object();
  }

  void write_calls(const Choice& choice, JsonWriter& out) const {
    Arena& arena = reading_.arena;
    if (choice.function_name.has_come() || choice.function_arguments.has_come()) {
      out.key("function_call").begin_object();
      choice.function_name.write("name", arena, out);
      choice.function_arguments.write("arguments", arena, out);
      out.end_object();
    }
    if (choice.calls.empty()) return;
    out.key("tool_calls").begin_array();
    for (const ToolCall& call : choice.calls) {
      const bool is_custom = call.type == "custom";
      out.begin_object();
      if (!call.id.empty()) out.key("id").string(call.id);
      out.key("type").string(call.type.empty() ? Text("function") : call.type);
      out.key(is_custom ? "custom" : "function").begin_object();
      call.name.write("name", arena, out);
      call.arguments.write(is_custom ? "input" : "arguments", arena, out);
      out.end_object().end_object();
    }
    out.end_array();
  }

  void write_details(const Choice& choice, JsonWriter& out) const {
    if (choice.details.empty()) return;
    out.key("reasoning_details").begin_array();
    for (const Detail& detail : choice.details) {
      out.begin_object();
      detail.rest.write(out);
      detail.text.write("text", reading_.arena, out);
      detail.summary.write("summary", reading_.arena, out);
      out.end_object();
    }
    out.end_array();
  }

  static void write_list(Text key, const ArenaVector<Text>& list, JsonWriter& out) {
    if (list.empty()) return;
    out.key(key).begin_array();
    for (const Text element : list) out.raw(element);
    out.end_array();
  }

  Reading& reading_;
  bool is_chat_ = false;
  bool is_grpc_ = false;
  bool has_usage_alone_ = false;  // the chunk that came last
  bool has_id_ = false;  // the first counts: who passes a stream on may begin it with an own one
  ArenaVector<Choice> choices_;
  LastMembers members_;
};

}  // namespace

bool assemble_openai_chat(StreamReader& stream, Reading& reading, JsonWriter& out) {
  Assembly assembly(reading);
  while (const std::optional<StreamEvent> event = stream.next()) assembly.add(event->value);
  if (!assembly.is_chat()) return false;
  if (assembly.is_grpc() || assembly.has_usage_alone()) stream.note_end();
  assembly.write(out);
  return true;
}

}  // namespace sidecast
