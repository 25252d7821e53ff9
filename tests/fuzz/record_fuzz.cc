// parse_record() on any bytes: no read outside them, and no view that leads outside them.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "shm/record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sidecast::shm;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static RecordView view;  // used again and again, as the engine does
  if (parse_record(bytes, view) != RecordError::kNone) return 0;
  const auto check = [&](std::string_view text) {
    if (text.empty()) return;
    if (text.data() < bytes.data() || text.data() + text.size() > bytes.data() + bytes.size()) {
      std::abort();
    }
  };
  for (const std::string_view text : {view.generation_id,
                                      view.account,
                                      view.api_key_id,
                                      view.api_key_name,
                                      view.user_id,
                                      view.session_id,
                                      view.trace_json,
                                      view.attributes_json,
                                      view.operation,
                                      view.provider,
                                      view.model_requested,
                                      view.model_served,
                                      view.endpoint,
                                      view.region,
                                      view.error_type,
                                      view.error_message,
                                      view.request,
                                      view.response,
                                      view.response_head,
                                      view.response_tail,
                                      view.span_id,
                                      view.parent_id,
                                      view.name}) {
    check(text);
  }
  for (const AttemptView& attempt : view.attempts) {
    check(attempt.provider);
    check(attempt.model);
    check(attempt.endpoint);
    check(attempt.error_type);
    check(attempt.error_message);
  }
  if (view.end_ns < view.start_ns) std::abort();
  return 0;
}
