// RSA signatures, for tokens that a service account signs. By OpenSSL.
#pragma once

#include <string>

#include "engine/base/bytes.h"
#include "engine/base/result.h"

namespace sidecast {

// The message's SHA-256 signed with the key (RS256: PKCS #1 v1.5), as it is, not encoded. `pem` is
// a private key in PEM. No Error quotes it.
[[nodiscard]] Result<std::string> sign_rs256(Bytes pem, Bytes message);

}  // namespace sidecast
