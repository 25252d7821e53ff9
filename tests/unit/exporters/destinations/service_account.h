// A service account's key file as Google issues it, around a key made for this run.
#pragma once

#include <memory>
#include <string>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

namespace sidecast::test {

using RsaKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

inline EVP_PKEY* test_rsa_key() {
  static const RsaKey key(EVP_RSA_gen(2048), &EVP_PKEY_free);
  return key.get();
}

inline std::string service_account_key(const std::string& email, const std::string& token_uri) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> memory(BIO_new(BIO_s_mem()), &BIO_free);
  PEM_write_bio_PrivateKey(memory.get(), test_rsa_key(), nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const auto size = static_cast<std::size_t>(BIO_get_mem_data(memory.get(), &data));
  std::string escaped;
  for (const char c : std::string(data, size)) escaped += c == '\n' ? "\\n" : std::string(1, c);
  return R"({"type":"service_account","client_email":")" + email +
         R"(","private_key_id":"k1","private_key":")" + escaped + R"(","token_uri":")" + token_uri +
         R"("})";
}

}  // namespace sidecast::test
