#include "engine/normalise/span_attributes.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "engine/normalise/identity.h"

namespace sidecast {
namespace {

constexpr int kDepthMax = 8;

// First segments of OpenInference's own keys.
constexpr std::array<Text, 12> kNamespaces = {"llm",    "embedding", "retrieval",   "reranker",
                                              "tool",   "agent",     "graph",       "prompt",
                                              "output", "input",     "annotations", "evaluations"};
// Last segments of keys whose value is JSON text, whatever it holds.
constexpr std::array<Text, 7> kJsonValues = {
    "metadata",  "parameters", "json_schema", "invocation_parameters",
    "variables", "arguments",  "vector"};

template <std::size_t kSize>
bool is_one_of(const std::array<Text, kSize>& names, Text name) noexcept {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Text last_segment(Text key) noexcept {
  return key.substr(key.rfind('.') + 1);  // all of it if there is no dot
}

bool holds_scalars_only(JsonValue list) noexcept {
  for (const JsonMember element : list) {
    if (element.value.is_object() || element.value.is_array()) return false;
  }
  return true;
}

bool is_nested(Text key, JsonValue value) noexcept {
  if (!value.is_object() && !value.is_array()) return false;
  if (is_one_of(kJsonValues, last_segment(key))) return false;
  return value.is_object() || !holds_scalars_only(value);
}

class Flattener {
 public:
  explicit Flattener(Reading& reading) : reading_(reading) {}

  void add(Text key, JsonValue value, int depth) {
    if (!is_nested(key, value) || depth == kDepthMax) {
      if (!add_metadatum(reading_.trace.attributes, key, value, reading_)) {
        ++reading_.trace.metadata_dropped;
      }
      return;
    }
    std::size_t index = 0;
    for (const JsonMember member : value) {
      if (reading_.trace.attributes.size() == kMetadataMax) {
        ++reading_.trace.metadata_dropped;  // of all that follows
        return;
      }
      if (value.is_object()) {
        add(joined(key, reading_.text(member.key_value)), member.value, depth + 1);
      } else {
        std::array<char, 20> digits{};
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), index++);
        add(joined(key, {digits.data(), static_cast<std::size_t>(end.ptr - digits.data())}),
            member.value, depth + 1);
      }
    }
  }

 private:
  Text joined(Text prefix, Text name) {
    char* const out = reading_.arena.allocate(prefix.size() + 1 + name.size());
    prefix.copy(out, prefix.size());
    out[prefix.size()] = '.';
    name.copy(out + prefix.size() + 1, name.size());
    return {out, prefix.size() + 1 + name.size()};
  }

  Reading& reading_;
};

struct TextName {
  Text key;
  Text Trace::*text;
};
constexpr std::array<TextName, 8> kTexts = {{
    {"llm.model_name", &Trace::model_served},
    {"llm.response.model_name", &Trace::model_served},
    {"llm.request.model_name", &Trace::model_requested},
    {"embedding.model_name", &Trace::model_served},
    {"reranker.model_name", &Trace::model_served},
    {"llm.provider", &Trace::provider},
    {"gen_ai.request.model", &Trace::model_requested},
    {"gen_ai.response.model", &Trace::model_served},
}};

struct CountName {
  Text key;
  std::optional<std::int64_t> Usage::*count;
};
constexpr std::array<CountName, 10> kCounts = {{
    {"llm.token_count.prompt", &Usage::input},
    {"llm.token_count.completion", &Usage::output},
    {"llm.token_count.total", &Usage::total},
    {"llm.token_count.prompt_details.cache_read", &Usage::cache_read},
    {"llm.token_count.prompt_details.cache_write", &Usage::cache_write},
    {"llm.token_count.prompt_details.audio", &Usage::input_audio},
    {"llm.token_count.completion_details.reasoning", &Usage::reasoning},
    {"llm.token_count.completion_details.audio", &Usage::output_audio},
    {"gen_ai.usage.input_tokens", &Usage::input},
    {"gen_ai.usage.output_tokens", &Usage::output},
}};

struct CostName {
  Text key;
  std::optional<double> Cost::*amount;
};
constexpr std::array<CostName, 3> kCosts = {{
    {"llm.cost.total", &Cost::total},
    {"llm.cost.prompt", &Cost::input},
    {"llm.cost.completion", &Cost::output},
}};

void read_known(const Metadatum& attribute, Trace& trace) {
  for (const TextName& name : kTexts) {
    const Text* const text = std::get_if<Text>(&attribute.value);
    if (name.key == attribute.key && text != nullptr) set_if_empty(trace.*name.text, *text);
  }
  for (const CountName& name : kCounts) {
    const auto* const count = std::get_if<std::int64_t>(&attribute.value);
    if (name.key == attribute.key && count != nullptr && *count >= 0) {
      trace.usage.*name.count = *count;
    }
  }
  for (const CostName& name : kCosts) {
    if (name.key != attribute.key) continue;
    if (const auto* const amount = std::get_if<double>(&attribute.value)) {
      trace.cost.*name.amount = *amount;
    } else if (const auto* const whole = std::get_if<std::int64_t>(&attribute.value)) {
      trace.cost.*name.amount = static_cast<double>(*whole);
    }
  }
}

JsonValue first_present(JsonValue object, std::initializer_list<Text> keys) noexcept {
  for (const Text key : keys) {
    if (const JsonValue found = object.find(key); found.is_present()) return found;
  }
  return {};
}

}  // namespace

void read_span_attributes(JsonValue object, Reading& reading) {
  if (!object.is_object()) return;
  Flattener flattener(reading);
  for (const JsonMember member : object) {
    const Text key = reading.text(member.key_value);
    const bool is_ours = is_one_of(kNamespaces, key.substr(0, key.find('.')));
    flattener.add(key, member.value, is_ours ? 0 : kDepthMax);
  }
  for (const Metadatum& attribute : reading.trace.attributes) read_known(attribute, reading.trace);
}

void read_retrieval_query(JsonValue input, Reading& reading) {
  Trace& trace = reading.trace;
  const JsonValue query = first_present(input, {"query", "text", "question", "input"});
  trace.rerank_query = reading.text(input.is_string() ? input : query);
  trace.rerank_top_k = first_present(input, {"top_k", "k", "limit", "top_n"}).integer();
}

void read_retrieved(JsonValue output, Reading& reading) {
  JsonValue list = output;
  if (!list.is_array()) {
    list = first_present(output, {"documents", "results", "matches", "data", "hits", "nodes"});
  }
  for (const JsonMember element : list) {
    if (!element.key.empty()) break;  // an object of something else
    const JsonValue source = element.value;
    Document document;
    const JsonValue content =
        first_present(source, {"content", "page_content", "text", "document", "body"});
    document.content = reading.text_or_json(content || source.is_object() ? content : source);
    const JsonValue id = first_present(source, {"id", "document_id", "_id"});
    document.id = id.is_string() ? reading.text(id) : id.raw();
    document.score = first_present(source, {"score", "relevance_score", "similarity"}).number();
    if (document.content.empty() && document.id.empty() && !document.score) continue;
    reading.trace.output_documents.push_back(document);
  }
}

}  // namespace sidecast
