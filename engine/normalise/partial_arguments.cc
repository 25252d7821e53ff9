#include "engine/normalise/partial_arguments.h"

#include <algorithm>

namespace sidecast {
namespace {

constexpr std::size_t kDepthMax = 32;

// `stops`, or the 0 of `stops[0]`.
struct Step {
  Text name;
  bool is_index = false;
  bool operator==(const Step&) const = default;
};

// "$.stops[0].city" step by step. What is no such path is one step, whatever it says.
ArenaVector<Step> steps_of(Text path, Arena& arena) {
  ArenaVector<Step> steps(arena.resource());
  Text rest = path.substr(0, 1) == "$" ? path.substr(1) : path;
  while (!rest.empty() && steps.size() < kDepthMax) {
    Step step;
    if (rest.front() == '[') {
      const std::size_t close = rest.find(']');
      if (close == Text::npos) break;
      step.name = rest.substr(1, close - 1);
      step.is_index = step.name.find_first_not_of("0123456789") == Text::npos;
      if (!step.is_index && step.name.size() > 2) {
        step.name = step.name.substr(1, step.name.size() - 2);  // ['a key']
      }
      rest.remove_prefix(close + 1);
    } else {
      if (rest.front() == '.') rest.remove_prefix(1);
      step.name = rest.substr(0, rest.find_first_of(".["));
      rest.remove_prefix(step.name.size());
    }
    steps.push_back(step);
  }
  if (!rest.empty() || steps.empty() || steps.front().is_index) {
    steps.clear();
    steps.push_back({path, false});
  }
  return steps;
}

// Writes values by their paths: what lies on the way to the next one is opened, what does not is
// closed.
class NestedWriter {
 public:
  NestedWriter(Arena& arena, JsonWriter& out) : open_(arena.resource()), out_(out) {
    out_.begin_object();
  }

  // The value itself is to be written next.
  void go_to(const ArenaVector<Step>& steps) {
    const std::size_t last = steps.size() - 1;
    std::size_t shared = 0;
    while (shared < std::min(open_.size(), last) && open_[shared].step == steps[shared]) ++shared;
    // A list stays a list: who means an object at its place says so a second time.
    while (shared > 0 && open_[shared - 1].is_list != steps[shared].is_index) --shared;
    close_to(shared);
    for (std::size_t i = shared; i < last; ++i) {
      write_name(steps[i]);
      const bool is_list = steps[i + 1].is_index;
      is_list ? out_.begin_array() : out_.begin_object();
      open_.push_back({steps[i], is_list});
    }
    write_name(steps[last]);
  }

  void finish() {
    close_to(0);
    out_.end_object();
  }

 private:
  struct Open {
    Step step;
    bool is_list;
  };

  void write_name(const Step& step) {
    if (!step.is_index) out_.key(step.name);
  }

  void close_to(std::size_t count) {
    for (; open_.size() > count; open_.pop_back()) {
      open_.back().is_list ? out_.end_array() : out_.end_object();
    }
  }

  ArenaVector<Open> open_;
  JsonWriter& out_;
};

}  // namespace

void PartialArguments::add(JsonValue pieces, Reading& reading) {
  for (const JsonMember element : pieces) {
    const JsonValue piece = element.value;
    const Text path = reading.text(piece.find("jsonPath"));
    auto argument = std::find_if(arguments_.begin(), arguments_.end(),
                                 [path](const Argument& known) { return known.path == path; });
    if (argument == arguments_.end()) {
      if (arguments_.size() == kMax) return;
      arguments_.emplace_back(reading.arena).path = path;
      argument = arguments_.end() - 1;
    }
    argument->text.append(piece.find("stringValue"), reading);
    for (const Text key : {"numberValue", "boolValue", "nullValue"}) {
      if (const JsonValue value = piece.find(key)) argument->json = reading.json(value);
    }
  }
}

void PartialArguments::write(Arena& arena, JsonWriter& out) const {
  NestedWriter nested(arena, out);
  for (const Argument& argument : arguments_) {
    nested.go_to(steps_of(argument.path, arena));
    if (argument.text.has_come()) {
      out.string(scrub_text(argument.text.join(arena), arena));
    } else {
      out.raw(argument.json.empty() ? Text("null") : argument.json);
    }
  }
  nested.finish();
}

}  // namespace sidecast
