#include "tests/support/certificate.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>

#include <openssl/pem.h>
#include <openssl/x509.h>

namespace sidecast::test {
namespace {

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

// The openssl tool makes none that is over; its library does.
void let_expire(const Certificate& made) {
  const File key_file(std::fopen(made.key_file.c_str(), "r"), &std::fclose);
  File file(std::fopen(made.certificate_file.c_str(), "r"), &std::fclose);
  if (!key_file || !file) throw std::runtime_error("cannot read the test's certificate");
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(
      PEM_read_PrivateKey(key_file.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free);
  const std::unique_ptr<X509, void (*)(X509*)> certificate(
      PEM_read_X509(file.get(), nullptr, nullptr, nullptr), &X509_free);
  constexpr long kDay = 86'400;
  const bool is_changed = key && certificate &&
                          X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -2 * kDay) &&
                          X509_gmtime_adj(X509_getm_notAfter(certificate.get()), -kDay) &&
                          X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0;
  file.reset(std::fopen(made.certificate_file.c_str(), "w"));
  if (!is_changed || !file || PEM_write_X509(file.get(), certificate.get()) != 1) {
    throw std::runtime_error("cannot make an expired certificate");
  }
}

}  // namespace

Certificate make_certificate(const std::string& directory, CertificateFlaw flaw) {
  const bool is_wrong = flaw == CertificateFlaw::kWrongName;
  const std::string names = is_wrong ? "DNS:elsewhere.example" : "IP:127.0.0.1,DNS:localhost";
  const std::string prefix = directory + "/" + std::to_string(static_cast<int>(flaw));
  Certificate made{prefix + "-certificate.pem", prefix + "-key.pem"};
  const std::string command =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
      "-subj /CN=" +
      std::string(is_wrong ? "elsewhere.example" : "localhost") +
      " -addext subjectAltName=" + names + " -keyout '" + made.key_file + "' -out '" +
      made.certificate_file + "' 2>/dev/null";
  if (std::system(command.c_str()) != 0) throw std::runtime_error("openssl made no certificate");
  if (flaw == CertificateFlaw::kExpired) let_expire(made);
  return made;
}

}  // namespace sidecast::test
