// What an API family is to the normaliser: how its requests and answers are read, and how its
// streams become an answer. A streamed answer is first assembled into the JSON the API would have
// sent unstreamed; then one reader reads both. One source file per family; detect.h chooses.
#pragma once

#include "engine/base/json_writer.h"
#include "engine/normalise/body.h"
#include "engine/normalise/reading.h"
#include "engine/normalise/usage.h"

namespace sidecast {

struct Api {
  Text name;
  Operation operation;  // unless the gateway says so
  TraceKind kind;
  // Messages, tools, model and parameters of the request; `body` is an object.
  void (*read_request)(JsonValue body, Reading& reading);
  // Messages, model, ids of the answer; `body` is an object. Usage and errors are read elsewhere,
  // for all APIs at once.
  void (*read_response)(JsonValue body, Reading& reading);
  // Writes the answer that the stream amounts to, as one JSON object. False: the stream says
  // nothing this API knows, and whatever was written is worthless.
  bool (*assemble)(StreamReader& stream, Reading& reading, JsonWriter& out);
  // Its streams say when they are over, by a finish reason or a last event: one without was cut.
  bool streams_say_end = false;
};

extern const Api kOpenAiChat;
extern const Api kOpenAiResponses;
extern const Api kOpenAiCompletions;
extern const Api kEmbeddings;
extern const Api kRerank;
extern const Api kAnthropic;
extern const Api kGemini;
extern const Api kInteractions;
extern const Api kConversations;
extern const Api kConverse;
extern const Api kCohere;
extern const Api kOllama;
extern const Api kImages;
extern const Api kAudio;
extern const Api kTextModel;
extern const Api kUnknownApi;  // anything else: text, model, what usage can be found

}  // namespace sidecast
