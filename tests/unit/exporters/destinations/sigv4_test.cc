// Signatures against AWS's published examples, and against botocore where it is installed.
#include "exporters/destinations/sigv4.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

namespace sidecast {
namespace {

constexpr std::string_view kEmptyHash =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

std::string header_of(const Request& request, std::string_view name) {
  for (const Header& header : request.headers) {
    if (header.name == name) return header.value;
  }
  return {};
}

std::string signature_of(const Request& request) {
  const std::string authorization = header_of(request, "authorization");
  const std::size_t at = authorization.find("Signature=");
  return at == std::string::npos ? authorization : authorization.substr(at + 10);
}

// The examples of "Signature Calculations for the Authorization Header", Amazon S3 API reference.
class S3Examples : public ::testing::Test {
 protected:
  std::string sign(const std::string& method, const std::string& path, std::vector<Header> headers,
                   std::string_view hash = kEmptyHash) {
    request_.method = method;
    request_.url = "https://examplebucket.s3.amazonaws.com" + path;
    request_.headers = std::move(headers);
    request_.headers.push_back({"x-amz-content-sha256", std::string(hash)});
    const Timestamp time = timestamp_from_ns(1'369'353'600LL * 1'000'000'000);
    EXPECT_TRUE(sign_sigv4(request_,
                           {.access_key_id = "AKIAIOSFODNN7EXAMPLE",
                            .secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                            .session_token = ""},
                           {.region = "us-east-1", .service = "s3"}, hash, time));
    return signature_of(request_);
  }
  Request request_;
};

TEST_F(S3Examples, GetObject) {
  EXPECT_EQ(sign("GET", "/test.txt", {{"Range", "bytes=0-9"}}),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  EXPECT_EQ(header_of(request_, "authorization").substr(0, 127),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
            "SignedHeaders=host;range;x-amz-content-sha");
}

TEST_F(S3Examples, PutObject) {
  EXPECT_EQ(sign("PUT", "/test%24file.text",
                 {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                  {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                 to_hex(as_bytes(sha256("Welcome to Amazon S3.")))),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST_F(S3Examples, QueriesAreSignedSortedAndWithEmptyValues) {
  EXPECT_EQ(sign("GET", "/?lifecycle", {}),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  EXPECT_EQ(sign("GET", "/?max-keys=2&prefix=J", {}),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
  EXPECT_EQ(sign("GET", "/?prefix=J&max-keys=2", {}),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

// "get-vanilla" of the Signature Version 4 test suite.
TEST(Sigv4, VanillaRequestOfTheTestSuite) {
  Request request;
  request.method = "GET";
  request.url = "https://example.amazonaws.com/";
  ASSERT_TRUE(sign_sigv4(request,
                         {.access_key_id = "AKIDEXAMPLE",
                          .secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                          .session_token = ""},
                         {.region = "us-east-1", .service = "service"}, kEmptyHash,
                         timestamp_from_ns(1'440'938'160LL * 1'000'000'000)));
  EXPECT_EQ(header_of(request, "x-amz-date"), "20150830T123600Z");
  EXPECT_EQ(signature_of(request),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

TEST(Sigv4, UriEncodingKeepsTheUnreservedOnly) {
  EXPECT_EQ(uri_encode("AZaz09-._~", false), "AZaz09-._~");
  EXPECT_EQ(uri_encode("a/b c=d+\xc3\xa4%", true), "a/b%20c%3Dd%2B%C3%A4%25");
  EXPECT_EQ(uri_encode("a/b", false), "a%2Fb");
}

// Requests of many shapes, signed by both.
TEST(Sigv4, SignsAsBotocoreDoes) {
  std::mt19937 random(20260102);
  const auto word = [&random] {
    static constexpr std::string_view kLetters = "abcXYZ019-._~ =+&$\xc3\xa4@!*'()";
    std::string text;
    for (std::size_t i = 0; i < 1 + random() % 12; ++i)
      text += kLetters[random() % kLetters.size()];
    return text;
  };
  nlohmann::json cases = nlohmann::json::array();
  std::vector<std::string> ours;
  for (int i = 0; i < 100; ++i) {
    Request request;
    request.method = i % 2 == 0 ? "PUT" : "GET";
    const char* const hosts[] = {"https://bucket.s3.eu-west-1.amazonaws.com",
                                 "http://127.0.0.1:9000/bucket", "https://s3.example.com:443/b"};
    request.url = std::string(hosts[random() % 3]) + "/" + uri_encode(word() + "/" + word(), true);
    if (i % 5 == 0) request.url += "?b=" + uri_encode(word(), false) + "&a=1&list-type";
    const std::string body = word();
    const std::string hash = to_hex(as_bytes(sha256(body)));
    request.headers = {{"content-type", "application/json"},
                       {"x-amz-content-sha256", hash},
                       {"X-Amz-Meta-B", "  two   blanks "},
                       {"x-amz-meta-a", std::to_string(i)}};
    const std::string token = i % 3 == 0 ? "session/token==" : "";
    const std::int64_t seconds = 1'600'000'000 + static_cast<std::int64_t>(random() % 300'000'000);
    nlohmann::json headers = nlohmann::json::object();
    for (const Header& header : request.headers) headers[header.name] = header.value;
    cases.push_back({{"method", request.method},
                     {"url", request.url},
                     {"headers", headers},
                     {"token", token},
                     {"seconds", seconds}});
    ASSERT_TRUE(sign_sigv4(request,
                           {.access_key_id = "AKIDEXAMPLE",
                            .secret_access_key = "a+secret/key",
                            .session_token = token},
                           {.region = "eu-west-1", .service = "s3"}, hash,
                           timestamp_from_ns(seconds * 1'000'000'000)));
    ours.push_back(header_of(request, "authorization"));
  }
  char path[] = "/tmp/sidecast-sigv4-XXXXXX";
  ASSERT_NE(::mkdtemp(path), nullptr);
  const std::string input = std::string(path) + "/cases.json";
  std::ofstream(input) << cases;
  const std::string script =
      SIDECAST_SOURCE_DIR "/tests/unit/exporters/destinations/sign_with_botocore.py";
  // Debian's own python3: another one in the PATH does not see Debian's packages.
  FILE* const output =
      ::popen(("/usr/bin/python3 '" + script + "' < '" + input + "'").c_str(), "r");
  ASSERT_NE(output, nullptr);
  std::string text;
  char buffer[4096];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, output)) {
    text.append(buffer, count);
  }
  const int status = ::pclose(output);
  std::filesystem::remove_all(path);
  constexpr int kNotInstalled = 77;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotInstalled) {
    const char* const all = std::getenv("SIDECAST_REQUIRE_ALL");
    ASSERT_FALSE(all != nullptr && std::string(all) == "1") << "python3-botocore is not installed";
    GTEST_SKIP() << "python3-botocore is not installed";
  }
  ASSERT_EQ(status, 0) << text;
  const auto theirs = nlohmann::json::parse(text);
  ASSERT_EQ(theirs.size(), ours.size());
  for (std::size_t i = 0; i < ours.size(); ++i) EXPECT_EQ(ours[i], theirs[i]) << cases[i];
}

}  // namespace
}  // namespace sidecast
