// Which API a record's bodies follow. What the bodies look like counts most, for gateways translate
// and paths lie; then the endpoint, then the operation the gateway names.
#pragma once

#include "engine/normalise/api.h"

namespace sidecast {

// An answer, or an event of a streamed one; null if it looks like no API in particular.
[[nodiscard]] const Api* api_of_answer(JsonValue answer, Text event_name) noexcept;
[[nodiscard]] const Api* api_of_request(JsonValue request) noexcept;
[[nodiscard]] const Api* api_of_endpoint(Text endpoint) noexcept;
[[nodiscard]] const Api* api_of_operation(Operation operation) noexcept;

// The model that a path names: ".../models/NAME:generateContent", "/model/NAME/converse",
// "/deployments/NAME/...". Empty when it names none.
[[nodiscard]] Text model_of_endpoint(Text endpoint, Arena& arena);

// "chat", "responses", "messages", ...; kUnknown for anything else.
[[nodiscard]] Operation operation_of(Text name) noexcept;

}  // namespace sidecast
