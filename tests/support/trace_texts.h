// Every text of a Trace that can leave, for tests that judge them all alike.
#pragma once

#include "engine/model/trace.h"

namespace sidecast::test {

template <typename Visit>
void for_each_text(const Trace& trace, Visit visit) {
  const auto messages = [&](const ArenaVector<Message>& list) {
    for (const Message& message : list) {
      visit(message.role);
      visit(message.name);
      visit(message.tool_call_id);
      visit(message.finish_reason);
      for (const Part& part : message.parts) {
        for (const Text text : {part.text, part.type, part.id, part.name, part.signature,
                                part.mime_type, part.url, part.file_id}) {
          visit(text);
        }
      }
    }
  };
  const auto documents = [&](const ArenaVector<Document>& list) {
    for (const Document& document : list) {
      visit(document.id);
      visit(document.content);
    }
  };
  const auto named_values = [&](const ArenaVector<Metadatum>& list) {
    for (const Metadatum& datum : list) {
      visit(datum.key);
      if (const Text* const text = std::get_if<Text>(&datum.value)) visit(*text);
    }
  };
  messages(trace.input_messages);
  messages(trace.output_messages);
  documents(trace.input_documents);
  documents(trace.output_documents);
  named_values(trace.metadata);
  named_values(trace.facts);
  named_values(trace.attributes);
  for (const Tool& tool : trace.tools) {
    for (const Text text : {tool.type, tool.name, tool.description, tool.parameters, tool.json}) {
      visit(text);
    }
  }
  for (const Attempt& attempt : trace.attempts) {
    for (const Text text : {attempt.provider, attempt.model, attempt.endpoint, attempt.error_type,
                            attempt.error_message}) {
      visit(text);
    }
  }
  for (const Text text : trace.prompts) visit(text);
  for (const Text text : trace.tags) visit(text);
  for (const Text text : trace.finish_reasons) visit(text);
  for (const Text text : trace.parameters.stop_sequences) visit(text);
  for (const Text text : {trace.provider,
                          trace.model_requested,
                          trace.model_served,
                          trace.response_id,
                          trace.endpoint,
                          trace.region,
                          trace.system_fingerprint,
                          trace.service_tier,
                          trace.input_value,
                          trace.output_value,
                          trace.rerank_query,
                          trace.name,
                          trace.parameters.json,
                          trace.parameters.output_type,
                          trace.parameters.service_tier,
                          trace.parameters.encoding_format,
                          trace.outcome.error_type,
                          trace.outcome.error_message,
                          trace.identity.generation_id,
                          trace.identity.account,
                          trace.identity.api_key_id,
                          trace.identity.api_key_name,
                          trace.identity.user_id,
                          trace.identity.session_id,
                          trace.settings.trace_id_text,
                          trace.settings.trace_name,
                          trace.settings.span_name,
                          trace.settings.generation_name,
                          trace.settings.parent_span_id_text}) {
    visit(text);
  }
}

}  // namespace sidecast::test
