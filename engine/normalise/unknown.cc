// Any API we do not know: nothing is taken apart that does not look like something known, but
// texts, model, ids, usage and errors stand in few places, and streams of text have few shapes.
#include "engine/normalise/api.h"
#include "engine/normalise/parts.h"
#include "engine/normalise/request.h"
#include "engine/normalise/text_model.h"

namespace sidecast {
namespace {

void read_request(JsonValue body, Reading& reading) {
  read_parameters(body, reading);
  for (const JsonMember element : body.find("messages")) {
    read_message(element.value, reading.trace.input_messages, reading);
  }
  read_tools(body.find("tools"), reading);
  read_text_prompts(body, reading);
}

}  // namespace

const Api kUnknownApi{"unknown",     Operation::kUnknown, TraceKind::kLlm,
                      &read_request, &read_text_answer,   &assemble_texts};

}  // namespace sidecast
