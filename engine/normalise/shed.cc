#include "engine/normalise/shed.h"

#include <array>

namespace sidecast {
namespace {

constexpr std::size_t kValueMax = 8U << 10U;  // bytes: usage objects are far smaller
constexpr std::size_t kKeyMax = 32;

// The JSON value that begins `text` (a string, a number or an object), or nothing if it is torn.
Text value_at(Text text) noexcept {
  const std::size_t first = text.find_first_not_of(" \n\r\t");
  if (first == Text::npos) return {};
  text = text.substr(first, kValueMax);
  const char opening = text.front();
  if (opening != '{' && opening != '"') {
    const std::size_t end = text.find_first_of(",}] \n\r\t");
    return end == Text::npos ? Text() : text.substr(0, end);
  }
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c != '"') continue;
      in_string = false;
    } else if (c == '"') {
      in_string = true;
      continue;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}') {
      --depth;
    }
    if (!in_string && depth == 0) return text.substr(0, i + 1);
  }
  return {};
}

// The members worth finding, quoted as they stand. A later one replaces an earlier one: streams
// repeat their model and count their usage up.
enum class Wanted { kModel, kFinishReason, kUsage, kCount };
struct Member {
  Text key;
  Wanted wanted;
};
constexpr std::array<Member, 23> kMembers = {{
    {"model", Wanted::kModel},
    {"modelVersion", Wanted::kModel},
    {"finish_reason", Wanted::kFinishReason},
    {"stop_reason", Wanted::kFinishReason},
    {"stopReason", Wanted::kFinishReason},
    {"finishReason", Wanted::kFinishReason},
    {"done_reason", Wanted::kFinishReason},
    {"usage", Wanted::kUsage},
    {"usageMetadata", Wanted::kUsage},
    {"meta", Wanted::kUsage},
    {"amazon-bedrock-invocationMetrics", Wanted::kUsage},
    {"prompt_tokens", Wanted::kCount},
    {"completion_tokens", Wanted::kCount},
    {"total_tokens", Wanted::kCount},
    {"input_tokens", Wanted::kCount},
    {"output_tokens", Wanted::kCount},
    {"prompt_eval_count", Wanted::kCount},
    {"eval_count", Wanted::kCount},
    {"inputTextTokenCount", Wanted::kCount},
    {"tokenCount", Wanted::kCount},
    {"prompt_token_count", Wanted::kCount},
    {"generation_token_count", Wanted::kCount},
    {"cost", Wanted::kCount},
}};

}  // namespace

void scan_torn_answer(Text piece, ReportedUsage& reported, JsonParser& parser, JsonDocument& json,
                      Reading& reading) {
  Trace& trace = reading.trace;
  MediaSpans media;  // of the value at hand
  reading.media = &media;
  Text finish_reason;
  std::size_t next = 0;  // where to look on
  for (std::size_t colon = piece.find("\":"); colon != Text::npos;
       colon = piece.find("\":", next)) {
    next = colon + 2;
    const std::size_t from = colon > kKeyMax ? colon - kKeyMax : 0;
    const Text before = piece.substr(from, colon - from);
    const Text key = before.substr(before.rfind('"') + 1);  // all of it if there is no quote
    for (const Member& member : kMembers) {
      if (member.key != key) continue;
      const Text value = value_at(piece.substr(colon + 2));
      if (value.empty()) break;
      if (member.wanted == Wanted::kCount) {
        // Read as a usage object of one member: what a torn one has left.
        char* const object = reading.arena.allocate(key.size() + value.size() + 5);
        const std::size_t size = key.size() + value.size() + 5;
        std::size_t to = 0;
        for (const Text text : {Text("{\""), key, Text("\":"), value, Text("}")}) {
          text.copy(object + to, text.size());
          to += text.size();
        }
        if (parser.parse({object, size}, json) == JsonStatus::kOk) {
          read_usage(json.root(), reported, reading);
        }
        break;
      }
      if (parser.parse(value, json) != JsonStatus::kOk) break;
      media.find(value);
      const JsonValue found = json.root();
      if (member.wanted == Wanted::kModel) set_if_empty(trace.model_served, reading.text(found));
      if (member.wanted == Wanted::kFinishReason && found.is_string()) {
        finish_reason = reading.text(found);
      }
      if (member.wanted == Wanted::kUsage) {
        read_usage_with_parts(found, reported, reading);
        // Counts within it are parts of its own, not the answer's.
        next = static_cast<std::size_t>(value.data() - piece.data()) + value.size();
      }
      break;
    }
  }
  if (!finish_reason.empty() && trace.finish_reasons.empty()) {
    trace.finish_reasons.push_back(finish_reason);
  }
  reading.media = nullptr;
}

}  // namespace sidecast
