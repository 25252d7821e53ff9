#include "exporters/http/timers.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

namespace sidecast {
namespace {

using std::chrono::milliseconds;

class TimersTest : public ::testing::Test {
 protected:
  static Instant at(int ms) { return Instant() + milliseconds(ms); }
  Timers::Task note(char name) {
    return [this, name] { ran_ += name; };
  }
  Timers timers_;
  std::string ran_;
};

TEST_F(TimersTest, RunsInOrderOfTimeThenOfCreation) {
  timers_.add(at(20), note('c'));
  timers_.add(at(10), note('a'));
  timers_.add(at(10), note('b'));
  timers_.add(at(30), note('d'));
  EXPECT_EQ(timers_.next_due(), at(10));
  EXPECT_EQ(timers_.run_due(at(9)), 0U);
  EXPECT_EQ(timers_.run_due(at(20)), 3U);
  EXPECT_EQ(ran_, "abc");
  EXPECT_EQ(timers_.next_due(), at(30));
}

TEST_F(TimersTest, CancelledTimerNeverRunsAndLetsGoOfItsTaskAtOnce) {
  auto owned = std::make_shared<int>(1);
  const Timers::Id id = timers_.add(at(10), [owned] {});
  ASSERT_EQ(owned.use_count(), 2);
  timers_.cancel(id);
  EXPECT_EQ(owned.use_count(), 1);
  EXPECT_EQ(timers_.next_due(), std::nullopt);
  timers_.cancel(id);
  timers_.cancel(12345);
}

TEST_F(TimersTest, TaskMayCancelAnotherThatIsDueToo) {
  Timers::Id second = 0;
  timers_.add(at(10), [&] {
    ran_ += 'a';
    timers_.cancel(second);
  });
  second = timers_.add(at(10), note('b'));
  timers_.add(at(10), note('c'));
  timers_.run_due(at(10));
  EXPECT_EQ(ran_, "ac");
}

TEST_F(TimersTest, TimerAddedByATaskWaitsForTheNextPass) {
  int runs = 0;
  std::function<void()> again = [&] {
    ++runs;
    timers_.add(at(0), again);
  };
  timers_.add(at(0), again);
  EXPECT_EQ(timers_.run_due(at(100)), 1U);
  EXPECT_EQ(timers_.run_due(at(100)), 1U);
  EXPECT_EQ(runs, 2);
}

}  // namespace
}  // namespace sidecast
