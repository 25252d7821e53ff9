#include "tools/replay/pace.h"

#include <gtest/gtest.h>

#include "tests/unit/tools/scratch.h"

namespace sidecast::replay {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr const char* kTrace =
    "arrival_ms,input_tokens,output_tokens,model,session\n"
    "0,4808,10,azure-code,\n"
    "52.25,3180,8,azure-code,s1\n"
    "52.25,1,1,,\n"
    "4000,1,1,,\n";

TEST(Pace, UnlimitedIsAlwaysDue) {
  EXPECT_FALSE(Pace::unlimited().due(7));
  EXPECT_EQ(Pace::unlimited().count(), kEndless);
}

TEST(Pace, SteadyWritesAreEvenlySpread) {
  const Pace pace = Pace::steady(200);
  EXPECT_EQ(pace.due(0), Nanoseconds(0));
  EXPECT_EQ(pace.due(1), milliseconds(5));
  EXPECT_EQ(pace.due(2'000'000), std::chrono::seconds(10'000));
}

TEST(Pace, RecordedArrivalsKeepTheirTimesOverTheSpeed) {
  const Scratch scratch;
  for (const std::string& file :
       {scratch.put("a.csv", kTrace), scratch.put_gzip("a.csv.gz", kTrace)}) {
    const auto pace = Pace::recorded(file, 2, std::nullopt);
    ASSERT_TRUE(pace) << pace.error().message();
    ASSERT_EQ(pace->count(), 4U);
    EXPECT_EQ(pace->due(0), Nanoseconds(0));
    EXPECT_EQ(pace->due(1), microseconds(26'125));
    EXPECT_EQ(pace->due(2), microseconds(26'125));
    EXPECT_EQ(pace->due(3), milliseconds(2000));
  }
}

TEST(Pace, DurationIsThatOfTheReplay) {
  const Scratch scratch;
  const std::string file = scratch.put("a.csv", kTrace);
  EXPECT_EQ(Pace::recorded(file, 1, milliseconds(1999))->count(), 3U);
  EXPECT_EQ(Pace::recorded(file, 2, milliseconds(2000))->count(), 4U);
}

TEST(Pace, HostileTracesAreErrorsWithTheirLine) {
  const Scratch scratch;
  const auto error_of = [&](std::string_view text) {
    const auto pace = Pace::recorded(scratch.put("t", text), 1, std::nullopt);
    return pace ? std::string("accepted") : pace.error().message().substr(scratch.file("t").size());
  };
  EXPECT_EQ(error_of(""), ": has no column 'arrival_ms' in its first line");
  EXPECT_EQ(error_of("time\n1\n"), ": has no column 'arrival_ms' in its first line");
  EXPECT_EQ(error_of("x,arrival_ms\n1\n"), ":2: is not an arrival");
  EXPECT_EQ(error_of("arrival_ms\n1\nsoon\n"), ":3: is not an arrival");
  EXPECT_EQ(error_of("arrival_ms\n-1\n"), ":2: is not an arrival");
  EXPECT_EQ(error_of("arrival_ms\nnan\n"), ":2: is not an arrival");
  EXPECT_EQ(error_of("arrival_ms\n5\n4\n"), ":3: arrivals must be sorted by time");
}

}  // namespace
}  // namespace sidecast::replay
