#include "engine/normalise/openai_responses_stream.h"

#include <algorithm>

#include "engine/normalise/last_members.h"

namespace sidecast {
namespace {

constexpr std::size_t kItemsMax = 4096;

bool ends_with(Text text, Text suffix) noexcept {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

struct Item {
  explicit Item(Arena& arena)
      : added(arena),
        text(arena),
        refusal(arena),
        summary(arena),
        reasoning(arena),
        arguments(arena) {}
  std::int64_t index = 0;
  Text done;  // the whole item, once it is finished
  LastMembers added;
  TextField text;
  TextField refusal;
  TextField summary;
  TextField reasoning;
  TextField arguments;
};

class Assembly {
 public:
  Assembly(Reading& reading, StreamReader& stream)
      : reading_(reading),
        stream_(stream),
        response_(reading.arena),
        items_(reading.arena.resource()) {}

  void add(JsonValue event) {
    const Text type = event.find("type").word();
    // A server may leave out the status in it.
    if (type == "response.completed" || type == "response.incomplete") stream_.note_end();
    const JsonValue response = event.find("response");
    if (response.is_object()) {
      set_response(response);
    } else if (type == "error") {
      set_error(event);
    } else if (Item* const item = item_at(event.find("output_index"))) {
      add_to_item(type, event, *item);
    }
  }

  [[nodiscard]] bool is_empty() const noexcept { return response_.empty() && items_.empty(); }

  void write(JsonWriter& out) {
    out.begin_object();
    response_.write(out);
    out.key("output");
    if (!output_.empty()) {
      out.raw(output_);
    } else {
      std::stable_sort(items_.begin(), items_.end(),
                       [](const Item& a, const Item& b) { return a.index < b.index; });
      out.begin_array();
      for (const Item& item : items_) write_item(item, out);
      out.end_array();
    }
    out.end_object();
  }

 private:
  void set_response(JsonValue response) {
    for (const JsonMember member : response) {
      if (member.key != "output") {
        response_.set(member, reading_);
      } else if (!member.value.is_empty()) {
        output_ = reading_.json(member.value);
      }
    }
  }

  // {"type":"error","code":...,"message":...}, or with the error in an object of its own.
  void set_error(JsonValue event) {
    const JsonValue nested = event.find("error");
    response_.set("error", reading_.json(nested.is_object() ? nested : event));
    response_.set("status", "\"failed\"");
  }

  Item* item_at(JsonValue output_index) {
    const auto index = output_index.integer();
    if (!index) return nullptr;
    for (auto item = items_.rbegin(); item != items_.rend(); ++item) {
      if (item->index == *index) return &*item;
    }
    if (items_.size() == kItemsMax) return nullptr;
    Item& item = items_.emplace_back(reading_.arena);
    item.index = *index;
    return &item;
  }

  void add_to_item(Text type, JsonValue event, Item& item) {
    const JsonValue delta = event.find("delta");
    if (type == "response.output_item.added") {
      for (const JsonMember member : event.find("item")) item.added.set(member, reading_);
    } else if (type == "response.output_item.done") {
      item.done = reading_.json(event.find("item"));
    } else if (type == "response.output_text.delta") {
      item.text.append(delta, reading_);
    } else if (type == "response.refusal.delta") {
      item.refusal.append(delta, reading_);
    } else if (type == "response.reasoning_summary_text.delta") {
      item.summary.append(delta, reading_);
    } else if (type == "response.reasoning_text.delta") {
      item.reasoning.append(delta, reading_);
    } else if (ends_with(type, "_arguments.delta") || ends_with(type, "_input.delta")) {
      item.arguments.append(delta, reading_);
    }
  }

  void write_item(const Item& item, JsonWriter& out) const {
    if (!item.done.empty()) {
      out.raw(item.done);
      return;
    }
    // A key given twice counts as its last value: what came in pieces follows the empty first one.
    out.begin_object();
    item.added.write(out);
    item.arguments.write("arguments", reading_.arena, out);
    write_part("summary", "summary_text", item.summary, out);
    write_part("content", "reasoning_text", item.reasoning, out);
    if (item.text.has_come() || item.refusal.has_come()) {
      out.key("content").begin_array();
      if (item.text.has_come()) {
        out.begin_object().key("type").string("output_text");
        item.text.write("text", reading_.arena, out);
        out.end_object();
      }
      if (item.refusal.has_come()) {
        out.begin_object().key("type").string("refusal");
        item.refusal.write("refusal", reading_.arena, out);
        out.end_object();
      }
      out.end_array();
    }
    out.end_object();
  }

  void write_part(Text key, Text type, const TextField& text, JsonWriter& out) const {
    if (!text.has_come()) return;
    out.key(key).begin_array().begin_object().key("type").string(type);
    text.write("text", reading_.arena, out);
    out.end_object().end_array();
  }

  Reading& reading_;
  StreamReader& stream_;
  LastMembers response_;
  Text output_;  // of the last event that had any
  ArenaVector<Item> items_;
};

}  // namespace

bool assemble_openai_responses(StreamReader& stream, Reading& reading, JsonWriter& out) {
  Assembly assembly(reading, stream);
  while (const std::optional<StreamEvent> event = stream.next()) assembly.add(event->value);
  if (assembly.is_empty()) return false;
  assembly.write(out);
  return true;
}

}  // namespace sidecast
