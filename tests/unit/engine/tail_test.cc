// What `sidecast tail` sees, and that nobody waits for it.
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/tail/tap.h"
#include "tests/support/temp_dir.h"

namespace sidecast::tail {
namespace {

using std::chrono::seconds;

class Tail : public testing::Test {
 protected:
  // A tool that has asked and was let in.
  int watch(const Wish& wish) {
    const int fd = ask();
    EXPECT_EQ(send(fd, &wish, sizeof wish, 0), static_cast<ssize_t>(sizeof wish));
    tap.look(now);  // it is let in and heard at once: what it sent is there already
    return fd;
  }
  int ask() {
    const Result<int> fd = connect_to(directory.path());
    EXPECT_TRUE(fd) << (fd ? "" : fd.error().message());
    return fd ? *fd : -1;
  }
  static std::string receive(int fd) {
    std::vector<char> packet(kPacketBytesMax + 1);
    const ssize_t size = recv(fd, packet.data(), packet.size(), MSG_DONTWAIT);
    return size <= 0 ? std::string() : std::string(packet.data(), static_cast<std::size_t>(size));
  }
  static bool is_hung_up(int fd) {
    char byte = 0;
    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
  }

  Trace trace_of(Text model) {
    Trace trace(arena);
    trace.identity.generation_id = "gen-1";
    trace.identity.account = "acme";
    trace.identity.session_id = "session-1";
    trace.model_requested = model;
    trace.input_value = "CONTENT of the input";
    trace.output_value = "CONTENT of the output";
    return trace;
  }
  void show(const Trace& trace) {
    if (pen.is_watched()) pen.show(plan, {}, trace, {.process = "gateway", .pid = 7}, arena);
  }

  test::TempDir directory;
  Instant now = monotonic_now();
  Tap tap{listen_at(directory.path()).value_or(-1)};
  Pen pen{&tap};
  Plan plan{std::make_shared<Config>(), {}};
  Arena arena;
};

TEST_F(Tail, NothingIsWrittenWhileNobodyWatches) {
  EXPECT_FALSE(pen.is_watched());
  tap.look(now);
  EXPECT_FALSE(pen.is_watched());
  EXPECT_EQ(tap.version(), 0U);
}

TEST_F(Tail, ARecordIsShownWithoutItsContent) {
  const int fd = watch({});
  ASSERT_TRUE(pen.is_watched());
  show(trace_of("openai/gpt-4o"));
  const std::string packet = receive(fd);
  EXPECT_NE(packet.find(R"("id":"gen-1")"), std::string::npos) << packet;
  EXPECT_NE(packet.find(R"("account":"acme")"), std::string::npos);
  EXPECT_NE(packet.find("openai/gpt-4o"), std::string::npos);
  EXPECT_NE(packet.find(R"("content":"redacted")"), std::string::npos);
  EXPECT_EQ(packet.find("CONTENT"), std::string::npos) << packet;
  close(fd);
}

TEST_F(Tail, ContentIsShownToWhoAsksForIt) {
  const int fd = watch({.flags = kShowContent});
  show(trace_of("m"));
  EXPECT_NE(receive(fd).find("CONTENT of the output"), std::string::npos);
  close(fd);
}

TEST_F(Tail, ContentOfManyBytesIsLeftOut) {
  const int fd = watch({.flags = kShowContent});
  Trace trace = trace_of("m");
  const std::string large = "CONTENT" + std::string(300U << 10U, 'x');
  trace.input_value = large;
  show(trace);
  const std::string packet = receive(fd);
  EXPECT_NE(packet.find(R"("content":"left out")"), std::string::npos);
  EXPECT_EQ(packet.find("CONTENT"), std::string::npos);
  close(fd);
}

TEST_F(Tail, ARecordBeyondAPacketIsShortened) {
  const int fd = watch({.flags = kShowContent});
  Trace trace = trace_of("m");
  const std::string large(200U << 10U, 'x');
  trace.input_value = large;
  show(trace);
  const std::string packet = receive(fd);
  ASSERT_FALSE(packet.empty());
  EXPECT_LE(packet.size(), kPacketBytesMax);
  EXPECT_NE(packet.find("gen-1"), std::string::npos);
  EXPECT_NE(packet.find("shortened"), std::string::npos);
  close(fd);
}

TEST_F(Tail, OnlyWhatIsWishedForIsShown) {
  Wish wish;
  ASSERT_TRUE(set_text(wish.model, "openai/"));
  ASSERT_TRUE(set_text(wish.account, "acme"));
  ASSERT_TRUE(set_text(wish.session, "session-1"));
  const int fd = watch(wish);
  show(trace_of("anthropic/claude"));
  Trace other = trace_of("openai/gpt-4o");
  other.identity.account = "acme-eu";
  show(other);
  other.identity.account = "acme";
  other.identity.session_id = "session-12";
  show(other);
  EXPECT_EQ(receive(fd), "");
  Trace served = trace_of("");
  served.model_served = "openai/gpt-4o";
  show(served);
  EXPECT_NE(receive(fd), "");
  close(fd);

  Wish failed{.flags = kFailedOnly};
  const int second = watch(failed);
  show(trace_of("m"));
  EXPECT_EQ(receive(second), "");
  Trace failure = trace_of("m");
  failure.outcome.failed = true;
  show(failure);
  EXPECT_NE(receive(second), "");
  close(second);

  Wish routed;
  ASSERT_TRUE(set_text(routed.destination, "nobody"));
  const int third = watch(routed);
  show(trace_of("m"));
  EXPECT_EQ(receive(third), "");
  close(third);
}

TEST_F(Tail, WhatComesFasterThanTheRateIsMissedAndCounted) {
  const int fd = watch({.rate = 3});
  const auto session = tap.sessions()->at(0);
  const Instant second(seconds(1'000'000));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(session->may_show(second));
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(session->may_show(second));
  EXPECT_EQ(session->missed(), 4U);
  EXPECT_TRUE(session->may_show(second + seconds(1)));
  close(fd);
}

TEST_F(Tail, HostileAToolThatReadsNothingHoldsNobodyUp) {
  const int fd = watch({.rate = kRateMax});
  const auto session = tap.sessions()->at(0);
  const std::string packet(32U << 10U, 'x');
  for (int i = 0; i < 1000; ++i) session->send(packet);  // far beyond what a socket holds
  EXPECT_GT(session->missed(), 900U);
  close(fd);
}

TEST_F(Tail, WhoLeavesIsForgotten) {
  const int fd = watch({});
  EXPECT_TRUE(pen.is_watched());
  close(fd);
  show(trace_of("m"));  // and sending to who is gone is no signal
  tap.look(now);
  EXPECT_FALSE(pen.is_watched());
}

TEST_F(Tail, HostileWishesAreHungUpOn) {
  const int short_one = ask();
  EXPECT_EQ(send(short_one, "hello", 5, 0), 5);
  const int foreign = watch({.magic = 1});
  tap.look(now);
  EXPECT_TRUE(is_hung_up(short_one));
  EXPECT_TRUE(is_hung_up(foreign));
  EXPECT_FALSE(pen.is_watched());
  close(short_one);
  close(foreign);

  const int silent = ask();
  tap.look(now);
  EXPECT_FALSE(is_hung_up(silent));
  tap.look(now + seconds(6));
  EXPECT_TRUE(is_hung_up(silent));
  close(silent);
}

TEST_F(Tail, HostileRatesAreHeldToTheHighest) {
  const int fd = watch({.rate = 4'000'000'000U});
  EXPECT_EQ(tap.sessions()->at(0)->wish().rate, kRateMax);
  close(fd);
}

TEST_F(Tail, AtMostEightWatchAtOnce) {
  std::vector<int> watching;
  for (int i = 0; i < 12; ++i) watching.push_back(watch({}));
  EXPECT_EQ(tap.sessions()->size(), 8U);
  close(watching[0]);
  tap.look(now);
  tap.look(now);
  EXPECT_EQ(tap.sessions()->size(), 8U);  // the next one's turn
  for (std::size_t i = 1; i < watching.size(); ++i) close(watching[i]);
}

TEST_F(Tail, APathLongerThanAnAddressIsNoHindrance) {
  const std::string deep = directory.path() + "/" + std::string(150, 'd');
  ASSERT_EQ(mkdir(deep.c_str(), 0700), 0);
  const Result<int> listening = listen_at(deep);
  ASSERT_TRUE(listening) << listening.error().message();
  const Result<int> fd = connect_to(deep);
  EXPECT_TRUE(fd);
  if (fd) close(*fd);
  close(*listening);
  EXPECT_FALSE(connect_to(deep)) << "nobody listens there any more";
  EXPECT_TRUE(listen_at(deep)) << "what an earlier engine left is replaced";
}

TEST_F(Tail, TextsThatDoNotFitAreRefused) {
  Wish wish;
  EXPECT_TRUE(set_text(wish.account, std::string(kTextBytesMax - 1, 'a')));
  EXPECT_FALSE(set_text(wish.account, std::string(kTextBytesMax, 'a')));
  wish.account.fill('b');  // a foreign tool's, without an end
  EXPECT_EQ(text_of(wish.account).size(), kTextBytesMax);
}

}  // namespace
}  // namespace sidecast::tail
