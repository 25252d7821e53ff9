// Traces made by hand, with every field a dialect reads, and lookups into what dialects made of
// them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "exporters/exporter.h"

namespace sidecast {

inline constexpr std::int64_t kStartNs = 1'700'000'000'000'000'000;

// A chat with one answer, tools, usage, cost, metadata: nothing absent that could be there.
inline Trace chat_trace(Arena& arena) {
  Trace trace(arena);
  trace.kind = TraceKind::kLlm;
  trace.operation = Operation::kChat;
  trace.identity.generation_id = "gen-1";
  trace.identity.account = "acme";
  trace.identity.api_key_name = "team-a";
  trace.identity.user_id = "user-7";
  trace.identity.session_id = "session-9";
  trace.trace_id = hash_trace_id("gen-1");
  trace.provider = "OpenAI";
  trace.model_requested = "openai/gpt-4o";
  trace.model_served = "gpt-4o-2024-08-06";
  trace.response_id = "chatcmpl-1";
  trace.start = timestamp_from_ns(kStartNs);
  trace.end = timestamp_from_ns(kStartNs + 2'000'000'000);
  trace.first_token = timestamp_from_ns(kStartNs + 250'000'000);
  trace.input_value = R"({"model":"openai/gpt-4o","messages":[{"role":"user","content":"Hi"}]})";
  trace.input_is_json = true;
  trace.output_value = R"({"choices":[{"message":{"content":"Hello"}}]})";
  trace.output_is_json = true;
  const auto say = [&arena](ArenaVector<Message>& messages, Text role, Text text) -> Message& {
    Message& message = messages.emplace_back(arena);
    message.role = role;
    Part part;
    part.text = text;
    message.parts.push_back(part);
    return message;
  };
  say(trace.input_messages, "system", "Be brief.");
  say(trace.input_messages, "user", "Hi \"there\"\n");
  say(trace.output_messages, "assistant", "Hello").finish_reason = "stop";
  trace.finish_reasons.push_back("stop");
  trace.tools.push_back({"function", "weather", "The weather.", R"({"type":"object"})",
                         R"({"type":"function","function":{"name":"weather"}})"});
  trace.parameters.json = R"({"model":"openai/gpt-4o","temperature":1,"stop":["END"]})";
  trace.parameters.temperature = 1;
  trace.parameters.max_tokens = 100;
  trace.parameters.stream = true;
  trace.parameters.stop_sequences.push_back("END");
  trace.usage = {.input = 105,
                 .output = 20,
                 .total = {},
                 .cache_read = 90,
                 .cache_write = 5,
                 .reasoning = 3,
                 .input_audio = {},
                 .output_audio = {}};
  trace.cost = {.total = 0.5, .input = 0.25, .output = 0.25};
  trace.outcome.http_status = 200;
  trace.metadata.push_back({"feature", Text("search"), false});
  trace.metadata.push_back({"build", std::int64_t{42}, false});
  trace.metadata.push_back({"ratio", 0.5, false});
  trace.metadata.push_back({"beta", true, false});
  trace.metadata.push_back({"list", Text("[1,2]"), true});
  trace.metadata.push_back({"nothing", std::monostate{}, false});
  trace.tags.push_back("red");
  trace.tags.push_back("blue");
  trace.attributes.push_back({"deployment.region", Text("eu"), false});
  return trace;
}

inline const Attribute* find_attribute(const ArenaVector<Attribute>& attributes, Text key) {
  for (const Attribute& attribute : attributes) {
    if (attribute.key == key) return &attribute;
  }
  return nullptr;
}

// The value under `key` if it has that type; nothing if it is absent or of another type.
template <typename T>
std::optional<T> value_of(const Span& span, Text key) {
  const Attribute* const attribute = find_attribute(span.attributes, key);
  if (attribute == nullptr || !std::holds_alternative<T>(attribute->value)) return std::nullopt;
  return std::get<T>(attribute->value);
}

inline std::optional<Text> text_of(const Span& span, Text key) {
  return value_of<Text>(span, key);
}

inline std::vector<std::string> texts_of(const Span& span, Text key) {
  const auto texts = value_of<std::span<const Text>>(span, key);
  if (!texts) return {};
  return {texts->begin(), texts->end()};
}

inline bool has_prefix(const Span& span, Text prefix) {
  for (const Attribute& attribute : span.attributes) {
    if (attribute.key.substr(0, prefix.size()) == prefix) return true;
  }
  return false;
}

inline const Span* find_span(const SpanSet& set, Text name) {
  for (const Span& span : set.spans) {
    if (span.name == name) return &span;
  }
  return nullptr;
}

}  // namespace sidecast
