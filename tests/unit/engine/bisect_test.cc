// The bisect: the guilty record is found in few requests, its neighbours are kept, and nothing
// makes it search for long.
#include "engine/deliver/bisect.h"

#include <bit>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace sidecast {
namespace {

using Piece = Bisect::Piece;
using Sizes = std::vector<std::uint64_t>;

struct Outcome {
  std::size_t requests = 0;
  std::vector<int> accepted;  // how often, by record
  std::vector<int> rejected;
  std::optional<std::uint64_t> limit_bytes;
  bool is_hopeless = false;

  [[nodiscard]] std::vector<std::size_t> lost() const {
    std::vector<std::size_t> records;
    for (std::size_t i = 0; i < rejected.size(); ++i) {
      if (rejected[i] > 0) records.push_back(i);
    }
    return records;
  }
};

Outcome run(Bisect::Cause cause, const Sizes& sizes, const std::function<bool(Piece)>& takes) {
  Bisect bisect(cause, sizes);
  Outcome outcome;
  outcome.accepted.resize(sizes.size());
  outcome.rejected.resize(sizes.size());
  const auto count = [](std::vector<int>& counts, Piece piece) {
    for (std::size_t i = piece.first; i < piece.first + piece.count; ++i) ++counts[i];
  };
  while (const auto piece = bisect.next()) {
    ++outcome.requests;
    if (takes(*piece)) {
      count(outcome.accepted, *piece);
      bisect.accepted();
    } else {
      bisect.refused();
    }
    for (const Piece& rejected : bisect.take_rejected()) count(outcome.rejected, rejected);
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    EXPECT_EQ(outcome.accepted[i] + outcome.rejected[i], 1) << "record " << i;
  }
  outcome.limit_bytes = bisect.limit_bytes();
  outcome.is_hopeless = bisect.is_hopeless();
  return outcome;
}

bool has(Piece piece, std::size_t record) {
  return record >= piece.first && record < piece.first + piece.count;
}

std::uint64_t bytes_of(const Sizes& sizes, Piece piece) {
  const auto begin = sizes.begin() + static_cast<std::ptrdiff_t>(piece.first);
  return std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(piece.count), std::uint64_t{0});
}

std::size_t bound(std::size_t records) {
  return 2 * static_cast<std::size_t>(std::bit_width(records - 1)) + 8;
}

TEST(Bisect, GuiltyRecordIsFoundInFewRequestsAndItsNeighboursAreKept) {
  for (const Bisect::Cause cause : {Bisect::Cause::kSize, Bisect::Cause::kContent}) {
    for (const std::size_t records : {2U, 3U, 7U, 64U, 500U}) {
      for (std::size_t guilty = 0; guilty < records; ++guilty) {
        const Outcome outcome =
            run(cause, Sizes(records, 10), [guilty](Piece piece) { return !has(piece, guilty); });
        EXPECT_EQ(outcome.lost(), std::vector<std::size_t>{guilty});
        EXPECT_LE(outcome.requests, bound(records) - 6);
        EXPECT_EQ(outcome.limit_bytes, std::nullopt) << "it was not the sum";
        EXPECT_FALSE(outcome.is_hopeless);
      }
    }
  }
}

TEST(Bisect, ServerThatRefusesEverythingEndsTheSearch) {
  const auto never = [](Piece) { return false; };
  for (const std::size_t records : {16U, 512U, 4096U}) {
    const Outcome size = run(Bisect::Cause::kSize, Sizes(records, 10), never);
    EXPECT_LE(size.requests, bound(records));
    EXPECT_TRUE(size.is_hopeless);
    const Outcome content = run(Bisect::Cause::kContent, Sizes(records, 10), never);
    EXPECT_EQ(content.requests, 2U) << "both halves alike";
    EXPECT_TRUE(content.is_hopeless);
  }
}

TEST(Bisect, FewRecordsThatAreAllTooLargeSayNothingOfOthers) {
  const Outcome outcome =
      run(Bisect::Cause::kSize, Sizes(2, 1'000'000), [](Piece) { return false; });
  EXPECT_EQ(outcome.lost().size(), 2U);
  EXPECT_FALSE(outcome.is_hopeless);
}

TEST(Bisect, LimitFarBelowTheBatchIsLearntAndNothingIsLost) {
  const Sizes sizes(512, 1000);
  for (const std::uint64_t limit : {300'000U, 100'000U, 8'000U, 1'000U}) {
    const Outcome outcome = run(Bisect::Cause::kSize, sizes,
                                [&](Piece piece) { return bytes_of(sizes, piece) <= limit; });
    EXPECT_TRUE(outcome.lost().empty()) << limit;
    ASSERT_TRUE(outcome.limit_bytes) << limit;
    EXPECT_LE(*outcome.limit_bytes, limit);
    EXPECT_GT(*outcome.limit_bytes * 2, limit);
    EXPECT_LE(outcome.requests, bound(512) + 512'000 / *outcome.limit_bytes);
  }
}

TEST(Bisect, LimitAndARecordAboveItAreToldApart) {
  Sizes sizes(64, 1000);
  sizes[37] = 50'000;
  const Outcome outcome = run(Bisect::Cause::kSize, sizes,
                              [&](Piece piece) { return bytes_of(sizes, piece) <= 20'000; });
  EXPECT_EQ(outcome.lost(), std::vector<std::size_t>{37});
}

TEST(Bisect, EachRecordHasOneFateWhateverIsRefused) {
  std::mt19937 random(20260102);
  for (int round = 0; round < 2000; ++round) {
    Sizes sizes(2 + random() % 200);
    for (auto& size : sizes) size = 1 + random() % 1000;
    const auto cause = random() % 2 == 0 ? Bisect::Cause::kSize : Bisect::Cause::kContent;
    const std::uint64_t percent = random() % 101;
    const Outcome outcome =
        run(cause, sizes, [&](Piece) { return random() % 100 >= percent; });  // checks the fates
    EXPECT_LE(outcome.requests, bound(sizes.size()) + 2 * sizes.size());
  }
}

TEST(Bisect, PieceThatIsGoneProvesNothing) {
  Bisect bisect(Bisect::Cause::kSize, Sizes(4, 10));
  EXPECT_EQ(bisect.next(), (Piece{0, 2}));
  bisect.accepted();
  EXPECT_EQ(bisect.next(), (Piece{2, 2}));
  bisect.gone();
  EXPECT_EQ(bisect.next(), std::nullopt);
  EXPECT_EQ(bisect.limit_bytes(), std::nullopt);
  EXPECT_TRUE(bisect.take_rejected().empty());
}

TEST(Bisect, CutPiecesStayBelowTheLimitAndALargerRecordIsAlone) {
  EXPECT_EQ(cut_by_bytes({10, 10, 50, 10, 10, 10}, {0, 6}, 20),
            (std::vector<Piece>{{0, 2}, {2, 1}, {3, 2}, {5, 1}}));
  EXPECT_EQ(cut_by_bytes({10, 10, 10}, {1, 2}, 100), (std::vector<Piece>{{1, 2}}));
}

}  // namespace
}  // namespace sidecast
