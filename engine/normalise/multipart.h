// Uploads: multipart/form-data as it went over the wire, and the fields of a form as the JSON
// object that the API would have taken instead. Files leave as a note of their name, type and size.
// Specification: RFC 7578
#pragma once

#include "engine/base/arena.h"
#include "engine/normalise/json.h"

namespace sidecast {

// Does the body begin with a boundary and a field's header?
[[nodiscard]] bool looks_like_multipart(Bytes body) noexcept;

// {"multipart":[{"name","value"} | {"name","filename","content_type","bytes"}, ...]}: the shape in
// which gateways that have parsed an upload write it. At most 256 fields.
[[nodiscard]] Text multipart_to_json(Bytes body, Arena& arena);

// The fields of such an object by their names: {"model":"whisper-1","temperature":0,"file":{...}}.
// A name given several times, or as "name[]", becomes a list.
[[nodiscard]] Text form_to_json(JsonValue multipart, Arena& arena);

}  // namespace sidecast
