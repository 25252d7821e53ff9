#include "bench/exporters/payload.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <random>

#include <zlib.h>

#include "engine/base/json_writer.h"
#include "engine/base/utf8.h"

namespace sidecast::bench {
namespace {

constexpr std::size_t kCorpusBytes = 8U << 20U;

std::string read_corpus() {
  const char* const data = std::getenv("SIDECAST_DATA");
  const std::string path = data != nullptr ? data : SIDECAST_SOURCE_DIR "/../shared/data";
  gzFile file = gzopen((path + "/corpus.txt.gz").c_str(), "rb");
  if (file == nullptr) return {};
  std::string text(kCorpusBytes, '\0');
  const int size = gzread(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

std::string make_corpus() {
  std::cerr << "no real text found: filling the payloads with words at a fixed seed\n";
  std::mt19937_64 random(1);
  std::vector<std::string> words(4'000);
  for (std::string& word : words) {
    const std::size_t size = 2 + random() % 9;
    for (std::size_t i = 0; i < size; ++i) word.push_back(static_cast<char>('a' + random() % 26));
  }
  std::string text;
  while (text.size() < kCorpusBytes) {
    const std::size_t rank = random() % words.size() * (random() % words.size()) / words.size();
    text += words[rank] + (random() % 12 == 0 ? ".\n" : " ");
  }
  return text;
}

// Valid UTF-8 of about that size, from another place for each index.
Text text_at(std::size_t index, std::size_t bytes) {
  static const std::string kCorpus = [] {
    std::string corpus = read_corpus();
    return corpus.empty() ? make_corpus() : corpus;
  }();
  std::size_t start = index * 7'919 * 64 % (kCorpus.size() - bytes);
  while ((static_cast<unsigned char>(kCorpus[start]) & 0xC0U) == 0x80U) ++start;
  return utf8_prefix(Text(kCorpus).substr(start), bytes);
}

Message& say(ArenaVector<Message>& messages, Text role, Text text, Arena& arena) {
  Message& message = messages.emplace_back(arena);
  message.role = role;
  Part part;
  part.text = text;
  message.parts.push_back(part);
  return message;
}

// The bodies as the gateway would have seen them.
Text body_json(Text list, const ArenaVector<Message>& messages, Arena& arena) {
  ByteBuffer out;
  JsonWriter json(out);
  json.begin_object().key("model").string("openai/gpt-4o").key(list).begin_array();
  for (const Message& message : messages) {
    json.begin_object().key("role").string(message.role);
    json.key("content").string(message.parts.front().text).end_object();
  }
  json.end_array().end_object();
  return arena.copy(out.view());
}

}  // namespace

Payload::Payload(std::size_t message_bytes, std::size_t index)
    : trace_(std::make_unique<Trace>(arena_)) {
  Trace& trace = *trace_;
  const std::string number = std::to_string(index);
  trace.operation = Operation::kChat;
  trace.identity.generation_id = arena_.copy("gen-1700000000-" + number);
  trace.identity.account = "acme";
  trace.identity.api_key_name = "production";
  trace.identity.user_id = arena_.copy("user-" + number);
  trace.identity.session_id = "session-1";
  trace.trace_id = hash_trace_id(trace.identity.generation_id);
  trace.provider = "OpenAI";
  trace.model_requested = "openai/gpt-4o";
  trace.model_served = "gpt-4o-2024-08-06";
  trace.response_id = arena_.copy("chatcmpl-" + number);
  trace.start = timestamp_from_ns(1'700'000'000'000'000'000 + static_cast<std::int64_t>(index));
  trace.end = trace.start + std::chrono::milliseconds(1'234);
  trace.first_token = trace.start + std::chrono::milliseconds(250);
  const std::size_t each = message_bytes / kMessageCount;
  say(trace.input_messages, "system", text_at(4 * index, each), arena_);
  say(trace.input_messages, "user", text_at(4 * index + 1, each), arena_);
  say(trace.input_messages, "user", text_at(4 * index + 2, each), arena_);
  say(trace.output_messages, "assistant", text_at(4 * index + 3, each), arena_);
  trace.finish_reasons.push_back("stop");
  trace.input_value = body_json("messages", trace.input_messages, arena_);
  trace.output_value = body_json("choices", trace.output_messages, arena_);
  trace.input_is_json = trace.output_is_json = true;
  trace.parameters.json = R"({"model":"openai/gpt-4o","temperature":0.7,"max_tokens":1000})";
  trace.parameters.temperature = 0.7;
  trace.parameters.max_tokens = 1'000;
  trace.usage.input = static_cast<std::int64_t>(message_bytes / 5);
  trace.usage.output = static_cast<std::int64_t>(message_bytes / 20);
  trace.cost.total = 0.001;
  trace.outcome.http_status = 200;
  for (std::size_t i = 0; i < kAttributeCount; ++i) {
    const Text key = arena_.copy("app.attribute." + std::to_string(i));
    if (i % 4 == 0) {
      trace.attributes.push_back({key, static_cast<std::int64_t>(index * 31 + i), false});
    } else {
      trace.attributes.push_back({key, text_at(index + i, 24), false});
    }
  }
}

std::vector<std::unique_ptr<Payload>> make_batch(std::size_t message_bytes) {
  std::vector<std::unique_ptr<Payload>> batch;
  const std::size_t count = std::max<std::size_t>(4, (1U << 20U) / (message_bytes + 2'048));
  for (std::size_t i = 0; i < count; ++i) {
    batch.push_back(std::make_unique<Payload>(message_bytes, i));
  }
  return batch;
}

std::vector<std::string> encode_batch(const std::vector<std::unique_ptr<Payload>>& batch,
                                      const DialectEntry& dialect, const Encoder& encoder) {
  std::vector<std::string> encoded;
  Arena arena;
  ByteBuffer out;
  const DialectOptions options;
  for (const auto& payload : batch) {
    arena.reset();
    out.clear();
    encoder.write(payload->trace(), dialect.write(payload->trace(), options, arena), out);
    encoded.emplace_back(out.view());
  }
  return encoded;
}

}  // namespace sidecast::bench
