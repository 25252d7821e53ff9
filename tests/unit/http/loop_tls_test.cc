// TLS and HTTP/2: a self-signed server of ours, and nghttpd (Debian: nghttp2-server) for HTTP/2.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/http/loop_fixture.h"

namespace sidecast::test {
namespace {

using Failure = Response::Failure;

class LoopTlsTest : public LoopTest {
 protected:
  LoopTlsTest() {
    char path[] = "/tmp/sidecast-tls-XXXXXX";
    directory_ = ::mkdtemp(path);
    certificate_ = make_certificate(directory_);
    trusting_.ca_file = certificate_.certificate_file;
  }
  ~LoopTlsTest() override {
    if (nghttpd_ > 0) {
      ::kill(nghttpd_, SIGKILL);
      ::waitpid(nghttpd_, nullptr, 0);
    }
    std::filesystem::remove_all(directory_);
  }

  // Starts nghttpd, over TLS unless `is_cleartext`; its URL, or empty when it is not installed.
  std::string start_nghttpd(bool is_cleartext, bool asks_client = false) {
    std::ofstream(directory_ + "/index.html") << "hello over h2";
    const std::string port = std::to_string(unused_port());
    std::vector<std::string> words = {"nghttpd", "--address=127.0.0.1", "-d", directory_, port};
    if (is_cleartext) {
      words.emplace_back("--no-tls");
    } else {
      words.push_back(certificate_.key_file);
      words.push_back(certificate_.certificate_file);
    }
    if (asks_client) words.insert(words.begin() + 1, "--verify-client");
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    for (const char* path : {"/usr/sbin/nghttpd", "/usr/bin/nghttpd"}) {
      if (::access(path, X_OK) == 0 &&
          ::posix_spawn(&nghttpd_, path, nullptr, nullptr, arguments.data(), environ) == 0) {
        return (is_cleartext ? "http://127.0.0.1:" : "https://127.0.0.1:") + port;
      }
    }
    return {};
  }

  // Asks until the server has come up.
  void wait_until_up(const std::string& url, const TransferOptions& options) {
    const auto deadline = std::chrono::steady_clock::now() + kWatchdog;
    while (send(get(url), options).response.failure == Failure::kConnect) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "watchdog";
    }
  }
  static Request get(const std::string& url) {
    Request request;
    request.method = "GET";
    request.url = url + "/index.html";
    return request;
  }
  static void miss(const char* what) {
    const char* const all = std::getenv("SIDECAST_REQUIRE_ALL");
    if (all != nullptr && std::string(all) == "1") FAIL() << what << " is not installed";
  }

  std::string directory_;
  Certificate certificate_;
  TransferOptions trusting_;
  pid_t nghttpd_ = 0;
};

TEST_F(LoopTlsTest, SelfSignedServerIsRefusedUnlessItsCertificateIsTrusted) {
  HttpServer server(certificate_);
  const Answer refused = send(post_to(server.url() + "/", {"secret body"}));
  EXPECT_EQ(refused.response.failure, Failure::kTls);
  EXPECT_NE(refused.response.failure_text.find("self"), std::string::npos)
      << refused.response.failure_text;
  EXPECT_TRUE(server.requests().empty());

  const Answer answer = send(post_to(server.url() + "/", {"body"}), trusting_);
  EXPECT_EQ(answer.response.status, 200) << answer.response.failure_text;
  EXPECT_GT(answer.times.tls.count(), 0);
  ASSERT_EQ(server.requests().size(), 1U);
  EXPECT_EQ(server.requests()[0].body, "body");
  EXPECT_EQ(send(post_to(server.url() + "/"), trusting_).response.status, 200);
  EXPECT_EQ(server.connection_count(), 2U);  // the refused one and one for both requests
}

TEST_F(LoopTlsTest, ServerThatDoesNotSpeakTlsIsATlsFailure) {
  HttpServer server;
  const std::string url = "https://127.0.0.1:" + std::to_string(server.port());
  TransferOptions options;
  options.timeout = std::chrono::milliseconds(300);
  EXPECT_NE(send(post_to(url + "/"), options).response.failure, Failure::kNone);
}

TEST_F(LoopTlsTest, Http2IsNegotiatedAndMultiplexed) {
  const std::string url = start_nghttpd(false);
  if (url.empty()) {
    miss("nghttpd");
    GTEST_SKIP() << "nghttpd is not installed";
  }
  wait_until_up(url, trusting_);
  const std::string large(200'000, 'x');
  std::vector<Request> requests;
  for (int i = 0; i < 200; ++i) {
    requests.push_back(i % 2 == 0 ? get(url) : post_to(url + "/index.html", {large, "tail"}));
  }
  std::size_t index = 0;
  for (const Answer& answer : send_all(std::move(requests), trusting_)) {
    ASSERT_EQ(answer.response.failure, Failure::kNone) << answer.response.failure_text;
    ASSERT_EQ(answer.response.status, 200);
    EXPECT_EQ(answer.times.http_version, 20);
    const bool was_get = index++ % 2 == 0;
    if (was_get) {
      EXPECT_EQ(answer.response.body, "hello over h2");
    }
  }
}

TEST_F(LoopTlsTest, AServerThatAsksIsShownTheClientsCertificate) {
  const std::string url = start_nghttpd(false, true);
  if (url.empty()) {
    miss("nghttpd");
    GTEST_SKIP() << "nghttpd is not installed";
  }
  wait_until_up(url, trusting_);
  EXPECT_NE(send(get(url), trusting_).response.failure, Failure::kNone);
  TransferOptions known = trusting_;
  known.client_cert_file = certificate_.certificate_file;
  known.client_key_file = certificate_.key_file;
  const Answer answer = send(get(url), known);
  EXPECT_EQ(answer.response.status, 200) << answer.response.failure_text;
}

TEST_F(LoopTlsTest, Http2WithPriorKnowledgeWorksMoreThanOnce) {
  const std::string url = start_nghttpd(true);
  if (url.empty()) {
    miss("nghttpd");
    GTEST_SKIP() << "nghttpd is not installed";
  }
  TransferOptions options;
  options.http2_prior_knowledge = true;
  wait_until_up(url, options);
  for (int i = 0; i < 10; ++i) {
    const Answer answer = send(post_to(url + "/index.html", {"some", "pieces"}), options);
    ASSERT_EQ(answer.response.failure, Failure::kNone) << answer.response.failure_text;
    EXPECT_EQ(answer.response.status, 200);
    EXPECT_EQ(answer.times.http_version, 20);
  }
}

}  // namespace
}  // namespace sidecast::test
