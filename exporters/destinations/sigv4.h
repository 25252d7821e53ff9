// AWS Signature Version 4, for S3 and everything else that asks for it. Pure: the time is an
// argument. Ours rather than libcurl's, because a destination's credentials end in authorise().
// Specification: AWS, "Signature Version 4 signing process"; see the Sigv4 tests for its vectors.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "engine/base/sha256.h"
#include "exporters/exporter.h"

namespace sidecast {

struct Sigv4Credentials {
  std::string_view access_key_id;
  std::string_view secret_access_key;
  std::string_view session_token;  // empty = none
};

struct Sigv4Scope {
  std::string_view region;
  std::string_view service;
};

// Adds x-amz-date, x-amz-security-token (with a session token) and authorization; an earlier
// attempt's are replaced. Signs the host and every header that the request has. The URL's path must
// be percent-encoded already, as S3 wants it: it is signed as it stands. `payload_hash` is the hex
// SHA-256 of the body, or "UNSIGNED-PAYLOAD".
[[nodiscard]] Status sign_sigv4(Request& request, const Sigv4Credentials& credentials,
                                const Sigv4Scope& scope, std::string_view payload_hash,
                                Timestamp now);

// Percent-encodes everything but letters, digits, - . _ ~ and, when `keep_slash`, the slash.
[[nodiscard]] std::string uri_encode(std::string_view text, bool keep_slash);

// "20130524T000000Z"; its first eight characters are the UTC day.
[[nodiscard]] std::string sigv4_time(Timestamp time);

}  // namespace sidecast
