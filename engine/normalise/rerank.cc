// Reranking, as Cohere, Voyage, Jina and those who follow them write it.
#include <charconv>

#include "engine/normalise/api.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

Text content_of(JsonValue document, Reading& reading) {
  const JsonValue text = document.find("text");
  return reading.text_or_json(text.is_present() ? text : document);
}

void read_request(JsonValue body, Reading& reading) {
  read_parameters(body, reading);
  Trace& trace = reading.trace;
  trace.rerank_query = reading.text(body.find("query"));
  const JsonValue top_n = body.find("top_n");
  trace.rerank_top_k = (top_n ? top_n : body.find("top_k")).integer();
  for (const JsonMember element : body.find("documents")) {
    Document& document = trace.input_documents.emplace_back();
    document.id = reading.text(element.value.find("id"));
    document.content = content_of(element.value, reading);
  }
}

void read_response(JsonValue body, Reading& reading) {
  Trace& trace = reading.trace;
  set_if_empty(trace.response_id, reading.text(body.find("id")));
  set_if_empty(trace.model_served, reading.text(body.find("model")));
  const JsonValue results = body.find("results");
  for (const JsonMember element : results ? results : body.find("data")) {
    const JsonValue result = element.value;
    Document& document = trace.output_documents.emplace_back();
    document.id = result.find("index").raw();
    document.score = result.find("relevance_score").number();
    const JsonValue content = result.find("document");
    if (content.is_present()) document.content = content_of(content, reading);
  }
}

bool assemble(StreamReader&, Reading&, JsonWriter&) {
  return false;
}  // nobody streams a ranking

}  // namespace

const Api kRerank{"rerank",      Operation::kRerank, TraceKind::kReranker,
                  &read_request, &read_response,     &assemble};

}  // namespace sidecast
