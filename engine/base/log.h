// The log: one line per change of state, with the cause and what to do; never one per record, never
// a secret. Counters carry the rest.
#pragma once

#include <string_view>
#include <utility>

#include <spdlog/spdlog.h>

namespace sidecast {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Sends the log to stderr with UTC times. Call once, before threads start.
void open_log(LogLevel level);

template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  spdlog::info(format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  spdlog::warn(format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  spdlog::error(format, std::forward<Args>(args)...);
}

}  // namespace sidecast
