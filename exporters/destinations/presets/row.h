// What the rows of the preset tables are written with.
#pragma once

#include "exporters/destinations/otlp.h"

namespace sidecast::presets {

constexpr Option option(std::string_view name, std::string_view fallback, std::string_view help) {
  return {.name = name, .fallback = fallback, .help = help};
}
constexpr Option required(std::string_view name, std::string_view help) {
  return {.name = name, .fallback = "", .help = help, .required = true};
}
constexpr Option secret(std::string_view name, std::string_view help) {
  return {.name = name, .fallback = "", .help = help, .secret = true};
}
constexpr Option required_secret(std::string_view name, std::string_view help) {
  return {.name = name, .fallback = "", .help = help, .secret = true, .required = true};
}

// For servers that are the user's own and may stand behind anything.
inline constexpr Option kAuthorization = secret(
    "authorization", "Value of the Authorization header, with its scheme: Bearer ..., Basic ....");
inline constexpr Option kAuthorizationOnly[] = {kAuthorization};
inline constexpr OtlpField kAuthorizationHeader[] = {{"authorization", "{authorization}"}};

inline constexpr Option kApiKey[] = {required_secret("api_key", "API key.")};
inline constexpr OtlpField kBearer[] = {{"authorization", "Bearer {api_key}"}};

// 15 MiB for receivers that take 20 MiB.
inline constexpr std::string_view kCollectorBytesMax = "15MiB";

}  // namespace sidecast::presets
