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

// Langfuse.
[[nodiscard]] SpanSet write_langfuse(const Trace& trace, const DialectOptions& options,
                                     Arena& arena);

// LangSmith.
[[nodiscard]] SpanSet write_langsmith(const Trace& trace, const DialectOptions& options,
                                      Arena& arena);

// Braintrust.
[[nodiscard]] SpanSet write_braintrust(const Trace& trace, const DialectOptions& options,
                                       Arena& arena);

// Comet Opik.
[[nodiscard]] SpanSet write_opik(const Trace& trace, const DialectOptions& options, Arena& arena);

// W&B Weave, its /otel route.
[[nodiscard]] SpanSet write_weave(const Trace& trace, const DialectOptions& options, Arena& arena);

// Sentry.
[[nodiscard]] SpanSet write_sentry(const Trace& trace, const DialectOptions& options, Arena& arena);

// MLflow.
[[nodiscard]] SpanSet write_mlflow(const Trace& trace, const DialectOptions& options, Arena& arena);

// Datadog LLM Observability over OTLP.
[[nodiscard]] SpanSet write_datadog(const Trace& trace, const DialectOptions& options,
                                    Arena& arena);

}  // namespace sidecast
