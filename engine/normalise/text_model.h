// A prompt in, a text out: where requests and answers of the plain text models hold them. Bedrock's
// InvokeModel (Titan, Llama, Mistral, Cohere, Jurassic, the Claude of old), Vertex's predict,
// watsonx, Hugging Face, Replicate; and what is looked for first in an API we do not know at all.
#pragma once

#include "engine/normalise/api.h"

namespace sidecast {

// One prompt or several, and system texts beside them.
void read_text_prompts(JsonValue body, Reading& reading);

// Model, ids, finish reasons and one message for each text of the answer.
void read_text_answer(JsonValue body, Reading& reading);

// Streams of texts: pieces, or all of it again with each event.
[[nodiscard]] bool assemble_texts(StreamReader& stream, Reading& reading, JsonWriter& out);

}  // namespace sidecast
