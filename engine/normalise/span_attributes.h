// Attributes of an explicit span by OpenInference's names. Lists and objects are flattened to its
// dotted keys ("retrieval.documents.0.document.id"), and what the Trace has a field for fills it,
// so that every dialect knows model, usage and cost; it stays an attribute as well. Specification:
// reference "conventions" §1.2 to §1.5
#pragma once

#include "engine/normalise/reading.h"

namespace sidecast {

// The object's members, flattened where OpenInference has a key for each value within. Keys over
// the bounds of identity.h count in Trace::metadata_dropped.
void read_span_attributes(JsonValue object, Reading& reading);

// What a retriever looked for, and the documents it found, whatever list of its output holds them.
void read_retrieval_query(JsonValue input, Reading& reading);
void read_retrieved(JsonValue output, Reading& reading);

}  // namespace sidecast
