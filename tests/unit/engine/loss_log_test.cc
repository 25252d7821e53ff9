// The log of losses: one line when one begins, one when it is over, however much is lost.
#include "engine/deliver/loss_log.h"

#include <gtest/gtest.h>

#include "tests/support/log_capture.h"

namespace sidecast {
namespace {

using ledger::DropReason;

const Instant kNow = Instant{} + std::chrono::hours(1);

TEST(LossLog, OneLineWhenALossBeginsAndOneWithItsCountWhenItIsOver) {
  const test::LogCapture capture;
  LossLog log("acme", std::chrono::seconds(300));
  for (int i = 0; i < 100; ++i) {
    log.dropped(DropReason::kExpired, 5, "HTTP 503", kNow + std::chrono::seconds(i));
    log.tick(kNow + std::chrono::seconds(i));
  }
  EXPECT_EQ(capture.text(),
            "warning acme: batches that are older than 300 s are dropped(expired): HTTP 503; mend "
            "the destination, or raise give_up_after\n");
  const Instant last = kNow + std::chrono::seconds(99);
  log.tick(last + LossEpisode::kQuiet - std::chrono::milliseconds(1));
  EXPECT_EQ(capture.lines_with("acme"), 1U);
  log.tick(last + LossEpisode::kQuiet);
  log.tick(last + LossEpisode::kQuiet * 2);
  EXPECT_EQ(capture.lines_with("acme"), 2U);
  EXPECT_EQ(capture.lines_with("no longer dropped(expired); it has cost 500 records"), 1U);
}

TEST(LossLog, FirstRejectionIsToldWithItsCauseAndThenTheyAreCounted) {
  const test::LogCapture capture;
  LossLog log("acme", std::chrono::seconds(300));
  for (int i = 0; i < 100; ++i) log.rejected(3, "HTTP 400", kNow);
  EXPECT_EQ(capture.lines_with("acme"), 1U);
  EXPECT_EQ(capture.lines_with("refuses records for good, they are counted as rejected: HTTP 400; "
                               "check its dialect, encoding and limits"),
            1U);
  log.tick(kNow + LossEpisode::kQuiet);
  log.finish();
  EXPECT_EQ(capture.lines_with("acme"), 2U);
  EXPECT_EQ(capture.lines_with("refuses no more; it has cost 300 records"), 1U);
}

TEST(LossLog, ReasonsHaveTheirOwnEpisodes) {
  const test::LogCapture capture;
  LossLog log("acme", std::chrono::seconds(300));
  log.dropped(DropReason::kBudget, 1, "", kNow);
  log.dropped(DropReason::kExpired, 2, "HTTP 401", kNow);
  log.dropped(DropReason::kBudget, 3, "", kNow);
  EXPECT_EQ(capture.lines_with("raise memory_limit"), 1U);
  EXPECT_EQ(capture.lines_with("raise give_up_after"), 1U);
  log.finish();
  EXPECT_EQ(capture.lines_with("dropped(budget); it has cost 4 records"), 1U);
  EXPECT_EQ(capture.lines_with("dropped(expired); it has cost 2 records"), 1U);
  log.finish();
  EXPECT_EQ(capture.lines_with("acme"), 4U);
}

TEST(LossLog, FullFileSystemIsNotBlamedOnMemoryLimit) {
  const test::LogCapture capture;
  LossLog log("acme", std::chrono::seconds(300));
  log.dropped(DropReason::kBudget, 1, "HTTP 503", kNow, Shortage::kFileSystem);
  EXPECT_EQ(capture.lines_with("memory_limit"), 0U) << capture.text();
  EXPECT_EQ(capture.lines_with("the file system of ring_dir is full"), 1U);
  EXPECT_EQ(capture.lines_with("--shm-size"), 1U);
}

TEST(LossLog, BatchThatCannotBeEncodedIsNoFaultToReport) {
  const test::LogCapture capture;
  LossLog log("acme", std::chrono::seconds(300));
  log.dropped(DropReason::kEncode, 1, "the bucket's name is too long", kNow);
  EXPECT_EQ(capture.lines_with("please report this"), 0U) << capture.text();
  EXPECT_EQ(capture.lines_with("dropped(encode): the bucket's name is too long; check its options"),
            1U);
}

TEST(LossLog, NextLossIsTold) {
  const test::LogCapture capture;
  LossLog log("acme", std::chrono::seconds(300));
  log.dropped(DropReason::kExpired, 1, "", kNow);
  log.finish();
  log.dropped(DropReason::kExpired, 1, "", kNow);
  EXPECT_EQ(capture.lines_with("raise give_up_after"), 2U);
}

}  // namespace
}  // namespace sidecast
