#include "exporters/destinations/aws.h"

#include <algorithm>
#include <string>

#include "exporters/destinations/native.h"

namespace sidecast {

Status authorise_aws(Request& request, const Secrets& secrets, std::span<const Option> options,
                     const Sigv4Scope& scope, Timestamp now) {
  if (Status status = check_secrets(secrets, options); !status) return status;
  std::string hash;  // a copy: signing changes the list that it stands in
  for (const Header& header : request.headers) {
    if (header.name == "x-amz-content-sha256") hash = header.value;
  }
  return sign_sigv4(request,
                    {.access_key_id = reveal_secret(secrets, "access_key_id"),
                     .secret_access_key = reveal_secret(secrets, "secret_access_key"),
                     .session_token = reveal_secret(secrets, "session_token")},
                    scope, hash, now);
}

bool is_region_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

std::string_view aws_domain(std::string_view region) noexcept {
  return region.starts_with("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
}

}  // namespace sidecast
