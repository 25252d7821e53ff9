// Slots of destinations that are gone: their counts move to one sum, exactly, and they are used
// again.
#include "engine/ledger/retire.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/ledger/ledger.h"
#include "engine/stage/redo.h"
#include "tests/support/temp_dir.h"

namespace sidecast {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

class Retire : public ::testing::Test {
 protected:
  Retire() {
    auto ledger = Ledger::open(directory_.file("ledger"));
    auto redo = stage::RedoLog::open(directory_.file("redo"), 256);
    EXPECT_TRUE(ledger && redo);
    ledger_ = std::move(*ledger);
    redo_ = std::move(*redo);
  }
  DestinationIndex add(int number) {
    std::string identity = std::to_string(number);
    identity.resize(32, '.');
    return *ledger_->find_or_add_destination(identity, "d" + std::to_string(number), "otlp");
  }
  std::vector<DestinationIndex> retire(std::size_t count_max, DestinationIndex kept) {
    return retire_counts(*ledger_, *redo_, count_max,
                         [kept](DestinationIndex index) { return index != kept; });
  }

  test::TempDir directory_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<stage::RedoLog> redo_;
};

TEST_F(Retire, CountsMoveToTheSumsAndTheSlotIsUsedAgain) {
  const DestinationIndex stays = add(1);
  const DestinationIndex goes = add(2);
  ledger::DestinationSlot& slot = ledger_->destination(goes);
  slot.route[0].matched = 5;
  slot.route[0].routed = 5;
  slot.route[3].matched = 7;
  slot.route[3].routed = 6;
  slot.route[3].sampled_out = 1;
  slot.delivered = 8;
  slot.rejected[1] = 2;
  slot.dropped[2] = 1;
  slot.shrunk = 3;
  slot.requests = 4;
  slot.batch_bytes_max = 1U << 20U;
  slot.record_bytes_refused = 2U << 20U;
  slot.limit_learnt_ns = 1;
  ledger_->destination(stays).delivered = 100;
  EXPECT_EQ(retire(10, stays), std::vector{goes});
  const ledger::RetiredDestinations& sums = ledger_->header().retired_destinations;
  EXPECT_EQ(sums.count.load(kRelaxed), 1U);
  EXPECT_EQ(sums.matched.load(kRelaxed), 12U);
  EXPECT_EQ(sums.routed.load(kRelaxed), 11U);
  EXPECT_EQ(sums.sampled_out.load(kRelaxed), 1U);
  EXPECT_EQ(sums.delivered.load(kRelaxed), 8U);
  EXPECT_EQ(sums.rejected[1].load(kRelaxed), 2U);
  EXPECT_EQ(sums.dropped[2].load(kRelaxed), 1U);
  EXPECT_EQ(sums.shrunk.load(kRelaxed), 3U);
  EXPECT_EQ(sums.requests.load(kRelaxed), 4U);
  EXPECT_EQ(slot.route[3].routed.load(kRelaxed), 0U);
  EXPECT_EQ(slot.delivered.load(kRelaxed), 0U);
  EXPECT_EQ(slot.shrunk.load(kRelaxed), 0U);
  EXPECT_EQ(slot.batch_bytes_max.load(kRelaxed), 0U) << "the next one's limits are not known";
  EXPECT_EQ(slot.record_bytes_refused.load(kRelaxed), 0U);
  EXPECT_EQ(slot.limit_learnt_ns.load(kRelaxed), 0);
  ledger_->free_destination(goes);
  EXPECT_EQ(ledger_->destinations_used(), 1U);
  EXPECT_EQ(add(3), goes);
  EXPECT_EQ(add(1), stays);
  EXPECT_EQ(ledger_->destination(stays).delivered.load(kRelaxed), 100U);
}

TEST_F(Retire, WhatIsNotSettledStays) {
  const DestinationIndex goes = add(1);
  ledger_->destination(goes).route[0].routed = 3;
  ledger_->destination(goes).delivered = 2;
  EXPECT_TRUE(retire(10, ~DestinationIndex{0}).empty());
  ledger_->destination(goes).dropped[0] = 1;
  EXPECT_EQ(retire(10, ~DestinationIndex{0}).size(), 1U);
}

TEST_F(Retire, WhatIsInTheSpoolStays) {
  const DestinationIndex goes = add(1);
  ledger::DestinationSlot& slot = ledger_->destination(goes);
  // Three were spooled and dropped there, but for one that is back in the stage.
  slot.route[0].routed = 3;
  slot.spooled_in = 3;
  slot.spooled_out = 3;
  slot.spool_dropped[1] = 2;
  EXPECT_TRUE(retire(10, ~DestinationIndex{0}).empty());
  slot.delivered = 1;
  slot.spooled_in = 4;  // a fourth is on disk, and its routing is not seen yet
  EXPECT_TRUE(retire(10, ~DestinationIndex{0}).empty());
  slot.spooled_out = 4;
  EXPECT_EQ(retire(10, ~DestinationIndex{0}), std::vector{goes});
}

TEST_F(Retire, WhatWasAdoptedAndDroppedInTheSpoolIsPartOfTheSums) {
  const DestinationIndex goes = add(1);
  ledger::DestinationSlot& slot = ledger_->destination(goes);
  slot.route[0].matched = 4;
  slot.route[0].routed = 4;
  slot.adopted = 6;
  slot.delivered = 3;
  slot.dropped[0] = 2;
  slot.spool_dropped[0] = 5;
  slot.spooled_in = 6;
  slot.spooled_out = 6;
  EXPECT_EQ(retire(10, ~DestinationIndex{0}), std::vector{goes});
  const ledger::RetiredDestinations& sums = ledger_->header().retired_destinations;
  EXPECT_EQ(sums.matched.load(kRelaxed), 10U);
  EXPECT_EQ(sums.routed.load(kRelaxed), 10U);
  EXPECT_EQ(sums.adopted.load(kRelaxed), 6U);
  EXPECT_EQ(sums.delivered.load(kRelaxed), 3U);
  EXPECT_EQ(sums.dropped[0].load(kRelaxed), 7U);
  EXPECT_EQ(slot.adopted.load(kRelaxed), 0U);
  EXPECT_EQ(slot.spool_dropped[0].load(kRelaxed), 0U);
  EXPECT_EQ(slot.spooled_in.load(kRelaxed), 0U);
  EXPECT_EQ(slot.spooled_out.load(kRelaxed), 0U);
}

TEST_F(Retire, TenThousandsThatComeAndGoNeverFillTheLedger) {
  for (int number = 0; number < 40'000; ++number) {
    const DestinationIndex index = add(number);
    ledger_->destination(index).route[0].routed = 1;
    ledger_->destination(index).delivered = 1;
    if (ledger_->destinations_used() < 500) continue;
    for (const DestinationIndex gone : retire(400, index)) ledger_->free_destination(gone);
  }
  EXPECT_LE(ledger_->destination_count(), 500U);
  std::uint64_t total = ledger_->header().retired_destinations.delivered.load(kRelaxed);
  for (std::size_t i = 0; i < ledger_->destination_count(); ++i) {
    total += ledger_->destination(static_cast<DestinationIndex>(i)).delivered.load(kRelaxed);
  }
  EXPECT_EQ(total, 40'000U);
}

TEST_F(Retire, FreeSlotsAreFoundAgainAfterARestart) {
  const DestinationIndex goes = add(1);
  static_cast<void>(add(2));
  std::vector<std::uint8_t> bits;
  const GroupIndex group = *ledger_->find_or_add_group(std::string(32, 'g'), {goes}, bits);
  ledger_->free_destination(goes);
  ledger_->free_group(group);
  ledger_.reset();
  ledger_ = std::move(*Ledger::open(directory_.file("ledger")));
  EXPECT_EQ(ledger_->destinations_used(), 1U);
  EXPECT_EQ(ledger_->groups_used(), 0U);
  EXPECT_EQ(add(3), goes);
  EXPECT_EQ(*ledger_->find_or_add_group(std::string(32, 'h'), {goes}, bits), group);
}

}  // namespace
}  // namespace sidecast
