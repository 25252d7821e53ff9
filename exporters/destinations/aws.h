// What Amazon's services share: credentials, regions, and a request signed with them.
#pragma once

#include <span>
#include <string_view>

#include "exporters/destinations/sigv4.h"
#include "exporters/exporter.h"

namespace sidecast {

// Signs the request with the secrets access_key_id, secret_access_key and session_token, after
// checking them as `options` say. Its header x-amz-content-sha256 must hold the body's hash.
[[nodiscard]] Status authorise_aws(Request& request, const Secrets& secrets,
                                   std::span<const Option> options, const Sigv4Scope& scope,
                                   Timestamp now);

[[nodiscard]] bool is_region_name(std::string_view name) noexcept;
// "amazonaws.com", or China's.
[[nodiscard]] std::string_view aws_domain(std::string_view region) noexcept;

}  // namespace sidecast
