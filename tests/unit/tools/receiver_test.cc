// The receiver over real sockets, against an HTTP client that is not ours.
#include "tools/receiver/receiver.h"

#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <httplib.h>

#include "tests/unit/tools/codecs.h"

namespace sidecast::receiver {
namespace {

constexpr std::size_t kRoom = 4U << 20U;
constexpr const char* kJson = "application/json";
constexpr const char* kSpan =
    R"({"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0123456789abcdef0123456789abcdef",)"
    R"("spanId":"0001020304050607","name":"n"}]}]}]})";

class ReceiverTest : public testing::Test {
 protected:
  void start(std::string_view misbehaviour = "") {
    std::vector<Rule> rules;
    if (!misbehaviour.empty()) rules = parse_misbehaviour(misbehaviour).value();
    intake_ = std::make_unique<Intake>(kRoom, std::move(rules), 1, nullptr);
    auto receiver = Receiver::start({}, *intake_);
    ASSERT_TRUE(receiver) << receiver.error().message();
    receiver_ = *std::move(receiver);
    client_ = connect();
  }
  [[nodiscard]] std::unique_ptr<httplib::Client> connect() const {
    auto client = std::make_unique<httplib::Client>("127.0.0.1", receiver_->port());
    client->set_keep_alive(true);
    client->set_read_timeout(60);
    return client;
  }

  std::unique_ptr<Intake> intake_;
  std::unique_ptr<Receiver> receiver_;
  std::unique_ptr<httplib::Client> client_;
};

TEST_F(ReceiverTest, TakesSpansAtAnyPathOverOneConnection) {
  start();
  for (int i = 0; i < 20; ++i) {
    const auto answer = client_->Post("/some/path?x=1", kSpan, kJson);
    ASSERT_TRUE(answer) << "request " << i;
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, "{}");
  }
  EXPECT_EQ(intake_->counts().spans, 20U);
}

TEST_F(ReceiverTest, UndoesCompression) {
  start();
  auto answer = client_->Post("/", {{"Content-Encoding", "gzip"}}, gzip_for_test(kSpan), kJson);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  answer = client_->Post("/", {{"Content-Encoding", "zstd"}}, zstd_for_test(kSpan), kJson);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(intake_->counts().spans, 2U);
}

TEST_F(ReceiverTest, AnswersTheExpectationOfALargeBody) {
  start();
  std::string body = R"({"padding":")" + std::string(3U << 20U, 'x') + R"("})";
  const auto answer = client_->Post("/", {{"Expect", "100-continue"}}, body, kJson);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
}

TEST_F(ReceiverTest, HostileOversizeIsA413AndTheNextConnectionWorks) {
  start();
  const auto answer = client_->Post("/", std::string(kRoom + 1, ' '), kJson);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  EXPECT_EQ(connect()->Post("/", kSpan, kJson)->status, 200);
}

TEST_F(ReceiverTest, ResetsAndLostAnswersAreConnectionErrors) {
  start("reset:count=1,lose-answer:count=1");
  EXPECT_FALSE(connect()->Post("/", kSpan, kJson));
  EXPECT_EQ(intake_->counts().spans, 0U);
  EXPECT_FALSE(connect()->Post("/", kSpan, kJson));
  EXPECT_EQ(intake_->counts().spans, 1U);
  EXPECT_TRUE(connect()->Post("/", kSpan, kJson));
}

TEST_F(ReceiverTest, ServesManyConnectionsAtOnce) {
  start("delay=5ms:p=0.2");
  constexpr int kClients = 16;
  constexpr int kRequests = 25;
  std::vector<std::thread> threads;
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([&] {
      const auto client = connect();
      for (int k = 0; k < kRequests; ++k) {
        const auto answer = client->Post("/", kSpan, kJson);
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->status, 200);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(intake_->counts().spans, static_cast<std::uint64_t>(kClients * kRequests));
}

TEST_F(ReceiverTest, StopEndsWithConnectionsOpen) {
  start("delay=3600s");
  std::thread waiting([&] { EXPECT_FALSE(client_->Post("/", kSpan, kJson)); });
  while (intake_->counts().requests == 0) std::this_thread::yield();
  receiver_->stop();
  receiver_.reset();
  waiting.join();
}

TEST_F(ReceiverTest, APortInUseIsAnError) {
  start();
  const auto second = Receiver::start({.port = receiver_->port()}, *intake_);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message().find("listen on 127.0.0.1:"), std::string::npos);
}

}  // namespace
}  // namespace sidecast::receiver
