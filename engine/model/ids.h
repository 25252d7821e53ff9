// Trace and span ids as functions of the record, so that a retry, a crash replay or a second engine
// produces identical spans. Rules: reference "conventions" §6.4; vector app_trace_001 ->
// 522cf1e8476223c9f6ae5d9d0f41c52e.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/bytes.h"

namespace sidecast {

struct TraceId {
  std::array<unsigned char, 16> bytes{};
  [[nodiscard]] bool is_zero() const noexcept { return bytes == decltype(bytes){}; }
  [[nodiscard]] Bytes view() const noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  bool operator==(const TraceId&) const = default;
};

struct SpanId {
  std::array<unsigned char, 8> bytes{};
  [[nodiscard]] bool is_zero() const noexcept { return bytes == decltype(bytes){}; }
  [[nodiscard]] Bytes view() const noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  bool operator==(const SpanId&) const = default;
};

// The first 16 (8) bytes of SHA-256 of the text; never all zero.
[[nodiscard]] TraceId hash_trace_id(Text text) noexcept;
[[nodiscard]] SpanId hash_span_id(Text text) noexcept;

// 32 hex digits or a UUID, not all zero, in either case; else nothing.
[[nodiscard]] std::optional<TraceId> parse_trace_id(Text text) noexcept;
// 16 hex digits, not all zero; else nothing.
[[nodiscard]] std::optional<SpanId> parse_span_id(Text text) noexcept;

}  // namespace sidecast
