// Embeddings of every provider: texts in, vectors out. The vectors are not read.
#include "engine/normalise/api.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

void add_text(JsonValue value, Reading& reading) {
  if (value.is_string()) {
    reading.trace.prompts.push_back(reading.text(value));
    return;
  }
  // {"text":...} (Voyage, Jina), {"content":{"parts":[{"text":...}]}} (Google).
  const JsonValue text = value.find("text");
  if (text.is_string()) reading.trace.prompts.push_back(reading.text(text));
  const JsonValue content = value.find("content");
  if (content.is_string()) reading.trace.prompts.push_back(reading.text(content));
  for (const JsonMember part : content.find("parts")) add_text(part.value, reading);
}

void read_request(JsonValue body, Reading& reading) {
  read_parameters(body, reading);
  for (const Text key :
       {"input", "texts", "inputs", "prompt", "inputText", "requests", "instances", "text"}) {
    const JsonValue input = body.find(key);
    if (input.is_string()) add_text(input, reading);
    for (const JsonMember element : input) {
      if (element.key.empty()) add_text(element.value, reading);
    }
  }
  if (body.find("content").is_object()) add_text(body, reading);
}

void read_response(JsonValue body, Reading& reading) {
  set_if_empty(reading.trace.response_id, reading.text(body.find("id")));
  set_if_empty(reading.trace.model_served, reading.text(body.find("model")));
  set_if_empty(reading.trace.provider, reading.text(body.find("provider")));
}

bool assemble(StreamReader& stream, Reading& reading, JsonWriter& out) {
  return kUnknownApi.assemble(stream, reading, out);
}

}  // namespace

const Api kEmbeddings{"embeddings",  Operation::kEmbeddings, TraceKind::kEmbedding,
                      &read_request, &read_response,         &assemble};

}  // namespace sidecast
