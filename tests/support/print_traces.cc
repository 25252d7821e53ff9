// Prints what the Normaliser makes of bodies, for tests in other languages. One JSON object a line
// on standard input: {"id","operation","provider","endpoint","status","request","response"}, where
// "response_base64" may stand for a "response" that is not text. One JSON object a line comes out:
// the answer as a vendor's own client would hold it.
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "engine/normalise/normalise.h"

namespace {

using nlohmann::json;
using namespace sidecast;

// Independent of the engine's; the input is this repository's own test.
std::string from_base64(std::string_view text) {
  std::string out;
  unsigned bits = 0;
  int count = 0;
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (const char c : text) {
    const std::size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) break;
    bits = bits << 6U | static_cast<unsigned>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> static_cast<unsigned>(count));
  }
  return out;
}

std::string_view name_of(PartKind kind) {
  constexpr std::string_view kNames[] = {"text",        "reasoning", "refusal", "tool_call",
                                         "tool_result", "image",     "audio",   "video",
                                         "file",        "other"};
  return kNames[static_cast<std::size_t>(kind)];
}

json to_json(const ArenaVector<Message>& messages) {
  json list = json::array();
  for (const Message& message : messages) {
    json parts = json::array();
    for (const Part& part : message.parts) {
      parts.push_back({{"kind", name_of(part.kind)},
                       {"text", part.text},
                       {"type", part.type},
                       {"id", part.id},
                       {"name", part.name},
                       {"signature", part.signature}});
    }
    list.push_back({{"role", message.role},
                    {"finish_reason", message.finish_reason},
                    {"tool_call_id", message.tool_call_id},
                    {"parts", std::move(parts)}});
  }
  return list;
}

template <typename T>
void put(json& object, const char* key, const std::optional<T>& value) {
  if (value) object[key] = *value;
}

json to_json(const Trace& trace) {
  json usage = json::object();
  put(usage, "input", trace.usage.input);
  put(usage, "output", trace.usage.output);
  put(usage, "total", trace.usage.total);
  put(usage, "cache_read", trace.usage.cache_read);
  put(usage, "cache_write", trace.usage.cache_write);
  put(usage, "reasoning", trace.usage.reasoning);
  put(usage, "cost", trace.cost.total);
  json reasons = json::array();
  for (const Text reason : trace.finish_reasons) reasons.push_back(reason);
  return {{"model", trace.model_served},
          {"response_id", trace.response_id},
          {"messages", to_json(trace.output_messages)},
          {"finish_reasons", std::move(reasons)},
          {"usage", std::move(usage)},
          {"error_type", trace.outcome.error_type},
          {"error_message", trace.outcome.error_message}};
}

}  // namespace

int main() {
  Normaliser normaliser;
  Arena arena;
  std::string line;
  while (std::getline(std::cin, line)) {
    const json source = json::parse(line);
    const std::string operation = source.value("operation", "");
    const std::string provider = source.value("provider", "");
    const std::string endpoint = source.value("endpoint", "");
    const std::string request = source.value("request", "");
    const std::string response = source.contains("response_base64")
                                     ? from_base64(source["response_base64"].get<std::string>())
                                     : source.value("response", "");
    shm::RecordView record;
    record.generation_id = "printed";
    record.operation = operation;
    record.provider = provider;
    record.endpoint = endpoint;
    record.http_status = source.value("status", 0);
    record.request = request;
    record.response = response;
    record.start_ns = 1'700'000'000'000'000'000;
    record.end_ns = record.start_ns + 1;
    arena.reset();
    json printed = to_json(normaliser.normalise(record, {}, 0, {}, arena));
    printed["id"] = source["id"];
    std::puts(printed.dump().c_str());
  }
  return 0;
}
