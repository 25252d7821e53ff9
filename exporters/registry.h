// Every destination type, dialect, encoder and codec by name. The engine and the tools know
// destinations through this file alone.
#pragma once

#include <span>
#include <string_view>

#include "exporters/exporter.h"

namespace sidecast {

// All destination types, sorted by name. Static storage.
[[nodiscard]] std::span<const Destination* const> destination_types() noexcept;
[[nodiscard]] const Destination* find_destination_type(std::string_view name) noexcept;

[[nodiscard]] std::span<const DialectEntry> dialects() noexcept;
[[nodiscard]] const DialectEntry* find_dialect(std::string_view name) noexcept;

[[nodiscard]] std::span<const Encoder> encoders() noexcept;
[[nodiscard]] const Encoder* find_encoder(std::string_view name) noexcept;

}  // namespace sidecast
