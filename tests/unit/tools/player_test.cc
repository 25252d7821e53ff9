// Exchanges played into a real ring and read back with the engine's reader.
#include "tools/replay/player.h"

#include <atomic>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "shm/reader.h"
#include "shm/record.h"
#include "tests/unit/tools/scratch.h"

namespace sidecast::replay {
namespace {

constexpr const char* kExchanges =
    R"({"id":"a-000","provider":"openai","operation":"chat","model":"m","url_path":"/v1/chat","status":200,"request":{"q":1},"response":{"r":2},"duration_ms":1000,"session":"s1"})"
    "\n"
    R"({"id":"a-001","provider":"mistral","operation":"chat","status":429,"request":null,"response":null,"response_sse":"data: 1\n\n","session":"s2"})"
    "\n";

// What stays of a record after its bytes are gone.
struct Kept {
  std::string request;
  std::string response;
  std::string account;
  std::string session;
  std::string trace_json;
  std::string model;
  std::string endpoint;
  std::int32_t http_status = 0;
  std::int64_t duration_ns = 0;
  bool has_first_token = false;
  bool shed = false;
};

class PlayerTest : public testing::Test {
 protected:
  PlayerTest() {
    std::string error;
    directory_ = shm::RingDirectory::open(scratch_.file("rings"), error);
    EXPECT_NE(directory_, nullptr) << error;
    options_.ring_dir = scratch_.file("rings");
    options_.ring_bytes = 1U << 20U;
    options_.stall_max = std::chrono::seconds(60);
  }

  // Takes everything out of all rings and keeps it by generation id.
  void drain() {
    for (auto& ring : directory_->discover()) rings_.push_back(std::move(ring));
    std::string bytes;
    shm::RecordView view;
    for (const auto& ring : rings_) {
      for (std::uint32_t lane = 0; lane < ring->info().lanes; ++lane) {
        shm::LaneCursor cursor = ring->released(lane);
        while (ring->peek(lane, cursor, bytes) == shm::PeekStatus::kRecord) {
          ASSERT_EQ(shm::parse_record(bytes, view), shm::RecordError::kNone);
          keep(view);
          ring->release(lane, cursor);
        }
      }
    }
  }

  void keep(const shm::RecordView& view) {
    const auto [place, is_new] =
        kept_.try_emplace(std::string(view.generation_id),
                          Kept{.request = std::string(view.request),
                               .response = std::string(view.response),
                               .account = std::string(view.account),
                               .session = std::string(view.session_id),
                               .trace_json = std::string(view.trace_json),
                               .model = std::string(view.model_requested),
                               .endpoint = std::string(view.endpoint),
                               .http_status = view.http_status,
                               .duration_ns = view.end_ns - view.start_ns,
                               .has_first_token = view.first_token_ns > view.start_ns &&
                                                  view.first_token_ns < view.end_ns,
                               .shed = view.shed});
    EXPECT_TRUE(is_new) << "written twice: " << place->first;
  }

  Status play(std::string_view jsonl, Share share = {}, const Pace& pace = Pace::unlimited()) {
    const auto exchanges = Exchanges::load({scratch_.put("exchanges.jsonl", jsonl)});
    EXPECT_TRUE(exchanges);
    if (options_.write_count == 0) options_.write_count = exchanges->size();
    Player player(*exchanges, pace, options_, tally_);
    return player.play(share, monotonic_now(), std::nullopt);
  }

  Scratch scratch_;
  std::unique_ptr<shm::RingDirectory> directory_;
  std::vector<std::shared_ptr<shm::Ring>> rings_;
  std::map<std::string, Kept> kept_;
  PlayerOptions options_;
  Tally tally_;
};

TEST_F(PlayerTest, WritesWhatAGatewayHasInHand) {
  options_.accounts = {"acme"};
  ASSERT_TRUE(play(kExchanges));
  drain();
  ASSERT_EQ(kept_.size(), 2U);
  const Kept& plain = kept_.at("gen-a-000-0");
  EXPECT_EQ(plain.request, R"({"q":1})");
  EXPECT_EQ(plain.response, R"({"r":2})");
  EXPECT_EQ(plain.account, "acme");
  EXPECT_EQ(plain.session, "s1");
  EXPECT_EQ(plain.trace_json, "");
  EXPECT_EQ(plain.model, "m");
  EXPECT_EQ(plain.endpoint, "/v1/chat");
  EXPECT_EQ(plain.http_status, 200);
  EXPECT_EQ(plain.duration_ns, 1'000'000'000);
  EXPECT_FALSE(plain.has_first_token);
  const Kept& stream = kept_.at("gen-a-001-1");
  EXPECT_EQ(stream.request, "");
  EXPECT_EQ(stream.response, "data: 1\n\n");
  EXPECT_EQ(stream.http_status, 429);
  EXPECT_TRUE(stream.has_first_token);
  EXPECT_EQ(tally_.written.load(), 2U);
}

TEST_F(PlayerTest, RepeatsHaveIdsOfTheirOwnAndThreadsShareTheWork) {
  options_.write_count = 10;
  options_.threads = 3;
  ASSERT_TRUE(play(kExchanges, {.first_thread = 0, .thread_count = 4}));
  drain();
  std::set<std::string> ids;
  for (const auto& [id, kept] : kept_) ids.insert(id);
  // The writes of the fourth thread, 3 and 7, belong to another process.
  EXPECT_EQ(ids,
            (std::set<std::string>{"gen-a-000-0", "gen-a-001-1", "gen-a-000-2", "gen-a-000-4",
                                   "gen-a-001-5", "gen-a-000-6", "gen-a-000-8", "gen-a-001-9"}));
}

TEST_F(PlayerTest, AFullRingIsWaitedForAndNothingIsShed) {
  options_.write_count = 300;  // 300 x 20 kB, into 1 MiB
  options_.threads = 2;
  const std::string text(20'000, 'x');
  std::atomic<bool> ended{false};
  std::thread player([&] {
    const Status played =
        play(R"({"id":"big","request":{"t":")" + text + R"("}})", {.thread_count = 2});
    EXPECT_TRUE(played) << played.error().message();
    ended = true;
  });
  while (!ended) drain();
  player.join();
  drain();
  EXPECT_EQ(kept_.size(), 300U);
  for (const auto& [id, kept] : kept_) EXPECT_FALSE(kept.shed) << id;
  EXPECT_EQ(tally_.written.load(), 300U);
  EXPECT_EQ(tally_.shed.load(), 0U);
  EXPECT_GT(tally_.waits.load(), 0U);
}

TEST_F(PlayerTest, WithoutWaitingTheRingShedsAndDrops) {
  options_.wait_when_full = false;
  options_.write_count = 300;
  ASSERT_TRUE(play(R"({"id":"big","request":{"t":")" + std::string(20'000, 'x') + R"("}})"));
  EXPECT_GT(tally_.shed.load(), 0U);
  EXPECT_EQ(tally_.written.load() + tally_.dropped_full.load(), 300U);
  drain();
  EXPECT_EQ(kept_.size(), tally_.written.load());
}

TEST_F(PlayerTest, ARecordThatCanNeverFitIsShed) {
  ASSERT_TRUE(play(R"({"id":"huge","request":{"t":")" + std::string(2U << 20U, 'x') + R"("}})"));
  drain();
  ASSERT_EQ(kept_.size(), 1U);
  EXPECT_TRUE(kept_.at("gen-huge-0").shed);
  EXPECT_EQ(tally_.shed.load(), 1U);
}

TEST_F(PlayerTest, ARingNobodyReadsIsAnErrorInTheEnd) {
  options_.write_count = 300;
  options_.stall_max = std::chrono::seconds(1);
  const Status played =
      play(R"({"id":"big","request":{"t":")" + std::string(20'000, 'x') + R"("}})");
  ASSERT_FALSE(played);
  EXPECT_NE(played.error().message().find("is sidecastd running"), std::string::npos)
      << played.error().message();
}

TEST_F(PlayerTest, AMissingDirectoryIsAnError) {
  options_.ring_dir = scratch_.file("nothing here");
  const Status played = play(kExchanges);
  ASSERT_FALSE(played);
  EXPECT_NE(played.error().message().find(options_.ring_dir), std::string::npos);
}

TEST_F(PlayerTest, IdsAreLoggedAfterTheirWrite) {
  const std::string log = scratch_.file("ids");
  options_.ids_fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ASSERT_GE(options_.ids_fd, 0);
  options_.threads = 4;
  options_.write_count = 200;
  ASSERT_TRUE(play(kExchanges, {.thread_count = 4}));
  close(options_.ids_fd);
  drain();
  std::set<std::string> logged;
  std::ifstream stream(log);
  for (std::string line; std::getline(stream, line);)
    EXPECT_TRUE(logged.insert(line).second) << line;
  EXPECT_EQ(logged.size(), 200U);
  for (const auto& [id, kept] : kept_) EXPECT_TRUE(logged.contains(id)) << id;
}

TEST_F(PlayerTest, TraceObjectsAreNamedAfterTheSession) {
  options_.with_trace = true;
  ASSERT_TRUE(play(kExchanges));
  drain();
  EXPECT_EQ(kept_.at("gen-a-000-0").trace_json,
            R"({"trace_id":"s1","trace_name":"openai session","generation_name":"chat m"})");
}

TEST_F(PlayerTest, AStopEndsAnEndlessRun) {
  options_.write_count = kEndless;
  options_.wait_when_full = false;
  std::thread player([&] { EXPECT_TRUE(play(kExchanges)); });
  while (tally_.written.load() == 0) std::this_thread::yield();
  tally_.stop = 1;
  player.join();
}

TEST(Player, DurationsAreRecordedOrGuessed) {
  Exchange exchange;
  exchange.duration_ms = 1.5;
  EXPECT_EQ(duration_of(exchange), std::chrono::microseconds(1500));
  exchange.duration_ms = 0;
  exchange.output_tokens = 100;
  EXPECT_EQ(duration_of(exchange), std::chrono::milliseconds(1700));
}

}  // namespace
}  // namespace sidecast::replay
