// Every destination type, dialect, encoder and codec by name. The engine and the tools know
// destinations through this file alone.
#pragma once

#include <span>
#include <string_view>

#include "exporters/exporter.h"

// The destinations that are a file of their own in destinations/, one line each. A plain OTLP
// backend is a row of destinations/otlp_presets.cc instead and needs no line here.
#define SIDECAST_DESTINATIONS(X) \
  X(bigquery)                    \
  X(clickhouse)                  \
  X(console)                     \
  X(datadog)                     \
  X(file)                        \
  X(firehose)                    \
  X(kafka)                       \
  X(portkey_logs)                \
  X(posthog)                     \
  X(raindrop)                    \
  X(s3)                          \
  X(snowflake)                   \
  X(supabase)                    \
  X(webhook)

namespace sidecast {

namespace destinations {
#define X(name) extern const Destination name;
SIDECAST_DESTINATIONS(X)
#undef X
// In otlp_presets.cc.
[[nodiscard]] std::span<const Destination> otlp_presets() noexcept;
}  // namespace destinations

// All destination types, sorted by name. Static storage.
[[nodiscard]] std::span<const Destination* const> destination_types() noexcept;
[[nodiscard]] const Destination* find_destination_type(std::string_view name) noexcept;

[[nodiscard]] std::span<const DialectEntry> dialects() noexcept;
[[nodiscard]] const DialectEntry* find_dialect(std::string_view name) noexcept;

[[nodiscard]] std::span<const Encoder> encoders() noexcept;
[[nodiscard]] const Encoder* find_encoder(std::string_view name) noexcept;

}  // namespace sidecast
