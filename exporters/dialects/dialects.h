// The dialects, one function each: see DialectEntry in exporters/exporter.h. exporters/registry.h
// finds them by name.
#pragma once

#include "exporters/exporter.h"

namespace sidecast {

// OpenRouter-compatible: gen_ai.* and trace.metadata.*. What a Collector, Grafana, New Relic,
// Honeycomb or a webhook gets.
[[nodiscard]] SpanSet write_generic(const Trace& trace, const DialectOptions& options,
                                    Arena& arena);

// OpenInference: Arize AX, Phoenix, Galileo.
[[nodiscard]] SpanSet write_openinference(const Trace& trace, const DialectOptions& options,
                                          Arena& arena);

}  // namespace sidecast
