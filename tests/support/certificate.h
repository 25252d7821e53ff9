// Fresh certificates for TLS servers of tests: sound ones and such as a client must not trust.
#pragma once

#include <string>

namespace sidecast::test {

// PEM files.
struct Certificate {
  std::string certificate_file;
  std::string key_file;
};

enum class CertificateFlaw { kNone, kWrongName, kExpired };

// Self-signed, for localhost and 127.0.0.1 (or another name), in `directory`.
[[nodiscard]] Certificate make_certificate(const std::string& directory,
                                           CertificateFlaw flaw = CertificateFlaw::kNone);

}  // namespace sidecast::test
