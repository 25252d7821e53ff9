#include "engine/normalise/detect.h"

#include <array>
#include <charconv>

#include "engine/base/utf8.h"

namespace sidecast {
namespace {

bool starts_with(Text text, Text prefix) noexcept {
  return text.substr(0, prefix.size()) == prefix;
}

bool has(JsonValue object, Text key) noexcept {
  return static_cast<bool>(object.find(key));
}

const Api* api_of_object_name(Text object) noexcept {
  if (starts_with(object, "chat.completion")) return &kOpenAiChat;
  if (object == "response") return &kOpenAiResponses;
  if (object == "text_completion" || object == "completion") return &kOpenAiCompletions;
  if (object == "embedding") return &kEmbeddings;
  if (object == "interaction") return &kInteractions;
  if (starts_with(object, "conversation.response")) return &kConversations;
  return nullptr;
}

JsonValue first_element(JsonValue array) noexcept {
  return array.is_array() && !array.is_empty() ? (*array.begin()).value : JsonValue();
}

// The texts of Titan, Llama, Mistral, Cohere, Jurassic and watsonx.
bool is_text_model(JsonValue answer) noexcept {
  if (has(answer, "generation") && has(answer, "stop_reason")) return true;
  if (has(answer, "outputText") || has(answer, "completionReason")) return true;
  const JsonValue result = first_element(answer.find("results"));
  if (has(result, "outputText") || has(result, "generated_text")) return true;
  const JsonValue output = first_element(answer.find("outputs"));
  if (has(output, "text") && has(output, "stop_reason")) return true;
  return has(first_element(answer.find("generations")), "text") ||
         has(first_element(answer.find("completions")), "data");
}

}  // namespace

const Api* api_of_answer(JsonValue answer, Text event_name) noexcept {
  if (!answer.is_object()) return nullptr;
  if (const Api* const api = api_of_object_name(answer.find("object").word())) return api;
  const Text type = answer.find("type").word();
  if (starts_with(type, "response.")) return &kOpenAiResponses;
  if (starts_with(type, "conversation.response.")) return &kConversations;
  if (starts_with(type, "transcript") || starts_with(type, "speech.")) return &kAudio;
  if (starts_with(type, "image_generation.") || starts_with(type, "image_edit.")) return &kImages;
  if (type == "message" || type == "message_start") return &kAnthropic;
  if (starts_with(answer.find("event_type").word(), "interaction.")) return &kInteractions;
  if (type == "message-start" || has(answer, "event_type")) return &kCohere;
  if (has(answer, "candidates") || has(answer, "usageMetadata")) return &kGemini;
  if (has(answer.find("output"), "message") || event_name == "messageStart" ||
      has(answer, "messageStart")) {
    return &kConverse;
  }
  if (has(answer, "done") && has(answer, "created_at")) return &kOllama;
  if (is_text_model(answer)) return &kTextModel;
  if (first_element(answer.find("outputs")).is_object()) return &kOpenAiChat;  // xAI's gRPC as JSON
  if (const JsonValue choices = answer.find("choices"); choices.is_array()) {
    const JsonValue choice = first_element(choices);
    return has(choice, "text") && !has(choice, "message") ? &kOpenAiCompletions : &kOpenAiChat;
  }
  if (has(first_element(answer.find("data")), "embedding") || has(answer, "embeddings") ||
      has(answer, "embedding")) {
    return &kEmbeddings;
  }
  if (has(first_element(answer.find("data")), "b64_json") ||
      has(first_element(answer.find("data")), "revised_prompt") ||
      has(first_element(answer.find("predictions")), "bytesBase64Encoded")) {
    return &kImages;
  }
  if (has(first_element(answer.find("results")), "relevance_score") ||
      has(first_element(answer.find("data")), "relevance_score")) {
    return &kRerank;
  }
  const JsonValue message = answer.find("message");
  if (message.is_object() && has(answer, "finish_reason")) return &kCohere;
  if (has(answer, "generation_id") && has(answer, "chat_history")) return &kCohere;
  return nullptr;
}

const Api* api_of_request(JsonValue request) noexcept {
  if (has(request, "contents")) return &kGemini;
  if (has(request, "completion_args") && has(request, "inputs")) return &kConversations;
  if (has(request, "anthropic_version") || has(request, "anthropic_beta")) return &kAnthropic;
  if (has(request, "inferenceConfig") || has(request, "toolConfig")) return &kConverse;
  if (has(request, "documents") && has(request, "query")) return &kRerank;
  if (has(request, "textToImageParams") || has(request, "text_prompts")) return &kImages;
  if (has(request, "textGenerationConfig") || has(request, "max_gen_len")) return &kTextModel;
  return nullptr;
}

const Api* api_of_endpoint(Text endpoint) noexcept {
  struct Path {
    Text part;
    const Api* api;
  };
  // The first that the path contains.
  static constexpr std::array<Path, 24> kPaths = {{
      {"/chat/completions", &kOpenAiChat},
      {"/v1/conversations", &kConversations},
      {"/responses", &kOpenAiResponses},
      {"/messages", &kAnthropic},
      {"anthropic/models/", &kAnthropic},
      {"enerateContent", &kGemini},
      {"/converse", &kConverse},
      {"/rerank", &kRerank},
      {"/api/chat", &kOllama},
      {"/api/generate", &kOllama},
      {"/embeddings", &kEmbeddings},
      {"/embed", &kEmbeddings},
      {"mbedContent", &kEmbeddings},
      {"/v2/chat", &kCohere},
      {"/v1/chat", &kCohere},
      {"/agents/completions", &kOpenAiChat},
      {"/v1/completions", &kOpenAiCompletions},
      {"/fim/completions", &kOpenAiChat},
      {"/images/", &kImages},
      {"/audio/", &kAudio},
      {"/listen", &kAudio},
      {"/speak", &kAudio},
      {"/stt", &kAudio},
      {"/tts", &kAudio},
  }};
  for (const Path& path : kPaths) {
    if (endpoint.find(path.part) != Text::npos) return path.api;
  }
  return nullptr;
}

const Api* api_of_operation(Operation operation) noexcept {
  switch (operation) {
    case Operation::kChat:
      return &kOpenAiChat;
    case Operation::kResponses:
      return &kOpenAiResponses;
    case Operation::kMessages:
      return &kAnthropic;
    case Operation::kCompletions:
      return &kOpenAiCompletions;
    case Operation::kEmbeddings:
      return &kEmbeddings;
    case Operation::kRerank:
      return &kRerank;
    case Operation::kImage:
      return &kImages;
    case Operation::kAudio:
      return &kAudio;
    case Operation::kUnknown:
    case Operation::kModeration:
      break;
  }
  return nullptr;
}

Text model_of_endpoint(Text endpoint, Arena& arena) {
  endpoint = endpoint.substr(0, endpoint.find('?'));
  for (const Text before : {"/models/", "/model/", "/deployments/"}) {
    const std::size_t at = endpoint.find(before);
    if (at == Text::npos) continue;
    const Text rest = endpoint.substr(at + before.size());
    const Text model = rest.substr(0, rest.find_first_of("/:"));
    char* const out = arena.allocate(model.size());
    std::size_t size = 0;
    for (std::size_t i = 0; i < model.size(); ++i) {
      unsigned byte = static_cast<unsigned char>(model[i]);
      if (byte == '%' && i + 2 < model.size()) {
        const auto parsed = std::from_chars(model.data() + i + 1, model.data() + i + 3, byte, 16);
        if (parsed.ec == std::errc() && parsed.ptr == model.data() + i + 3) i += 2;
      }
      out[size++] = static_cast<char>(byte);
    }
    return to_valid_utf8({out, size}, arena);
  }
  return {};
}

Operation operation_of(Text name) noexcept {
  struct Name {
    Text name;
    Operation operation;
  };
  static constexpr std::array<Name, 19> kNames = {{
      {"chat", Operation::kChat},
      {"chat_completions", Operation::kChat},
      {"generate_content", Operation::kChat},
      {"responses", Operation::kResponses},
      {"messages", Operation::kMessages},
      {"completions", Operation::kCompletions},
      {"text_completion", Operation::kCompletions},
      {"embeddings", Operation::kEmbeddings},
      {"rerank", Operation::kRerank},
      {"image", Operation::kImage},
      {"images", Operation::kImage},
      {"image_generation", Operation::kImage},
      {"audio", Operation::kAudio},
      {"speech", Operation::kAudio},
      {"transcription", Operation::kAudio},
      {"transcriptions", Operation::kAudio},
      {"translations", Operation::kAudio},
      {"moderation", Operation::kModeration},
      {"moderations", Operation::kModeration},
  }};
  for (const Name& known : kNames) {
    if (known.name == name) return known.operation;
  }
  return Operation::kUnknown;
}

}  // namespace sidecast
