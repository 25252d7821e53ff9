// Ring and RingDirectory: what the engine sees of living, dead and hostile rings.
#include "shm/reader.h"

#include <csignal>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/layout.h"
#include "shm/ring_file.h"
#include "tests/unit/shm/ring_fixture.h"

namespace sidecast::shm {
namespace {

// The ring's file as anybody who may write to it sees it.
class RawRing {
 public:
  explicit RawRing(const std::string& path) : file_(open(path.c_str(), O_RDWR | O_CLOEXEC)) {
    size_ = static_cast<std::size_t>(lseek(file_, 0, SEEK_END));
    base_ = static_cast<char*>(mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0));
  }
  ~RawRing() {
    munmap(base_, size_);
    close(file_);
  }
  RawRing(const RawRing&) = delete;
  RawRing& operator=(const RawRing&) = delete;

  [[nodiscard]] RingHeader& header() const { return *reinterpret_cast<RingHeader*>(base_); }
  [[nodiscard]] LaneControl& lane(std::uint32_t index) const {
    return reinterpret_cast<LaneControl*>(base_ + kLaneControlOffset)[index];
  }
  [[nodiscard]] char* data(std::uint32_t lane) const { return base_ + header().lanes[lane].offset; }
  [[nodiscard]] int file() const { return file_; }
  // The lane that holds something: with one writing thread there is one.
  [[nodiscard]] std::uint32_t used_lane() const {
    for (std::uint32_t i = 0; i < header().lane_count; ++i) {
      if (lane(i).head.load() != 0) return i;
    }
    return 0;
  }

 private:
  int file_;
  std::size_t size_;
  char* base_;
};

class ReaderTest : public testing::Test {
 protected:
  [[nodiscard]] std::string ring_path() const {
    return scratch_.path() + "/" + scratch_.names(".ring").at(0);
  }
  ScratchDirectory scratch_;
};

TEST_F(ReaderTest, FindsARingAndReadsWhatWasWritten) {
  const auto directory = open_directory(scratch_.path());
  const WriterHandle writer(scratch_.path());
  ASSERT_EQ(writer.opened(), SIDECAST_OK);
  EXPECT_EQ(writer.write(SampleGeneration("one", "{}", "[]")), SIDECAST_OK);
  const auto rings = directory->discover();
  ASSERT_EQ(rings.size(), 1u);
  EXPECT_EQ(rings[0]->info().process, "test-gateway");
  EXPECT_EQ(rings[0]->info().pid, getpid());
  EXPECT_EQ(rings[0]->info().lanes, 4u);
  EXPECT_EQ(rings[0]->counters().written, 1u);
  EXPECT_GT(rings[0]->counters().used_bytes, 0u);
  EXPECT_EQ(drain(*rings[0]).ids(), std::vector<std::string>{"one"});
  EXPECT_EQ(rings[0]->counters().used_bytes, 0u);
  EXPECT_TRUE(directory->discover().empty());
}

TEST_F(ReaderTest, FindsRingsMadeAfterTheFirstScan) {
  const auto directory = open_directory(scratch_.path());
  EXPECT_TRUE(directory->discover().empty());
  const WriterHandle writer(scratch_.path());
  EXPECT_EQ(directory->discover().size(), 1u);
}

TEST_F(ReaderTest, AReaderThatStartsAnewGoesOnWhereTheLastOneReleased) {
  const WriterHandle writer(scratch_.path());
  for (const char* id : {"a", "b", "c"}) EXPECT_EQ(writer.write(SampleGeneration(id)), SIDECAST_OK);
  std::uint32_t lane = 0;
  {
    const auto directory = open_directory(scratch_.path());
    const auto ring = directory->discover().at(0);
    std::string bytes;
    while (ring->counters().used_bytes != 0) {
      LaneCursor cursor = ring->released(lane);
      if (ring->peek(lane, cursor, bytes) != PeekStatus::kRecord) {
        ++lane;
        continue;
      }
      ring->release(lane, cursor);
      break;
    }
  }
  {
    const auto directory = open_directory(scratch_.path());
    const auto ring = directory->discover().at(0);
    EXPECT_EQ(ring->released(lane).sequence, 1u);
    EXPECT_EQ(drain(*ring).ids(), (std::vector<std::string>{"b", "c"}));
  }
  // With nothing unread the sequence comes from the trailer before the head.
  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  EXPECT_EQ(ring->released(lane).sequence, 3u);
  EXPECT_EQ(writer.write(SampleGeneration("d")), SIDECAST_OK);
  EXPECT_EQ(drain(*ring).ids(), std::vector<std::string>{"d"});
}

TEST_F(ReaderTest, ReleasingAgainOrBackwardsChangesNothing) {
  const WriterHandle writer(scratch_.path());
  EXPECT_EQ(writer.write(SampleGeneration("a")), SIDECAST_OK);
  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  const std::uint32_t lane = RawRing(ring_path()).used_lane();
  LaneCursor cursor = ring->released(lane);
  const LaneCursor start = cursor;
  std::string bytes;
  ASSERT_EQ(ring->peek(lane, cursor, bytes), PeekStatus::kRecord);
  ring->release(lane, cursor);
  ring->release(lane, start);
  EXPECT_EQ(ring->released(lane).position, cursor.position);
  ring->release(lane, {cursor.position + 4096, 99});  // more than was published
  EXPECT_EQ(ring->released(lane).position, cursor.position);
  EXPECT_EQ(ring->released(lane).sequence, 1u);
}

TEST_F(ReaderTest, ALivingWriterIsNeverRetired) {
  const WriterHandle writer(scratch_.path());
  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  EXPECT_FALSE(ring->try_retire());
  EXPECT_FALSE(ring->is_retired());
  ring->remove();  // without the lock: refused
  EXPECT_EQ(scratch_.names(".ring").size(), 1u);
}

TEST_F(ReaderTest, ADeadWritersRingIsDrainedThenRemoved) {
  const pid_t child = fork();
  if (child == 0) {
    const WriterHandle writer(scratch_.path());
    const bool is_written = writer.write(SampleGeneration("last words")) == SIDECAST_OK;
    raise(is_written ? SIGKILL : SIGTERM);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(WTERMSIG(status), SIGKILL);
  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  EXPECT_EQ(ring->owner(), OwnerState::kDead);
  ASSERT_TRUE(ring->try_retire());
  EXPECT_TRUE(ring->try_retire());
  EXPECT_TRUE(ring->is_retired());
  EXPECT_EQ(drain(*ring).ids(), std::vector<std::string>{"last words"});
  ring->remove();
  EXPECT_TRUE(scratch_.names("").empty());
}

TEST_F(ReaderTest, AnObserverSeesAndChangesNothing) {
  const WriterHandle writer(scratch_.path());
  EXPECT_EQ(writer.write(SampleGeneration("a")), SIDECAST_OK);
  const auto observing = open_directory(scratch_.path(), Access::kObserver);
  const auto seen = observing->discover().at(0);
  EXPECT_EQ(drain(*seen).ids(), std::vector<std::string>{"a"});
  EXPECT_FALSE(seen->try_retire());
  std::string error;
  EXPECT_FALSE(observing->publish({}, error));
  const auto directory = open_directory(scratch_.path());
  EXPECT_EQ(drain(*directory->discover().at(0)).ids(), std::vector<std::string>{"a"});
}

// ---- Hostile rings
// -----------------------------------------------------------------------------------

TEST_F(ReaderTest, HostileHeadBehindWhatWasSeenIsToldAsSuch) {
  const WriterHandle writer(scratch_.path());
  EXPECT_EQ(writer.write(SampleGeneration("a")), SIDECAST_OK);
  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  EXPECT_EQ(drain(*ring).records.size(), 1u);
  const RawRing raw(ring_path());
  raw.lane(raw.used_lane()).head.store(8);
  EXPECT_EQ(drain(*ring).last, PeekStatus::kHostile);
}

TEST_F(ReaderTest, HostileHeadFarAheadIsToldAsSuch) {
  const WriterHandle writer(scratch_.path());
  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  const RawRing raw(ring_path());
  raw.lane(2).head.store(UINT64_MAX & ~7ull);
  EXPECT_EQ(drain(*ring).last, PeekStatus::kHostile);
}

TEST_F(ReaderTest, HostileRecordLengthsAreToldAsSuch) {
  const WriterHandle writer(scratch_.path());
  EXPECT_EQ(writer.write(SampleGeneration("a")), SIDECAST_OK);
  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  const RawRing raw(ring_path());
  for (const std::uint32_t length : {0u, 8u, 71u, 73u, 1u << 20, 0xfffffff8u}) {
    std::memcpy(raw.data(raw.used_lane()), &length, sizeof length);
    EXPECT_EQ(drain(*ring).last, PeekStatus::kHostile) << length;
  }
}

TEST_F(ReaderTest, HostileSequenceIsToldAsSuch) {
  const WriterHandle writer(scratch_.path());
  EXPECT_EQ(writer.write(SampleGeneration("a")), SIDECAST_OK);
  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  const RawRing raw(ring_path());
  const std::uint64_t sequence = 7;
  std::memcpy(raw.data(raw.used_lane()) + offsetof(RecordHeader, sequence), &sequence,
              sizeof sequence);
  EXPECT_EQ(drain(*ring).last, PeekStatus::kHostile);
}

TEST_F(ReaderTest, HostileTruncationDoesNotKillTheReader) {
  const WriterHandle writer(scratch_.path());
  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  ASSERT_EQ(truncate(ring_path().c_str(), 0), 0);
  EXPECT_FALSE(ring->is_gone());
  LaneCursor cursor;
  std::string bytes;
  EXPECT_EQ(ring->peek(0, cursor, bytes), PeekStatus::kGone);
  EXPECT_TRUE(ring->is_gone());
  EXPECT_EQ(ring->peek(1, cursor, bytes), PeekStatus::kGone);
  ring->release(0, {64, 1});
  EXPECT_EQ(ring->counters().written, 0u);
  // The writer's own mapping would fault as well now: it must not be touched again.
}

TEST_F(ReaderTest, HostileHeadersAreQuarantinedWithAReason) {
  const auto forge = [&](const char* what, auto change) {
    SCOPED_TRACE(what);
    ScratchDirectory scratch;
    const WriterHandle writer(scratch.path());
    {
      const RawRing raw(scratch.path() + "/" + scratch.names(".ring").at(0));
      change(raw);
    }
    const auto directory = open_directory(scratch.path());
    EXPECT_TRUE(directory->discover().empty());
    ASSERT_EQ(directory->quarantined().size(), 1u);
    EXPECT_FALSE(directory->quarantined()[0].reason.empty());
  };
  forge("magic", [](const RawRing& raw) { raw.header().magic ^= 1; });
  forge("next version", [](const RawRing& raw) { raw.header().layout_version += 1; });
  forge("no lanes", [](const RawRing& raw) { raw.header().lane_count = 0; });
  forge("too many lanes", [](const RawRing& raw) { raw.header().lane_count = 17; });
  forge("size", [](const RawRing& raw) { raw.header().ring_bytes += 4096; });
  forge("name", [](const RawRing& raw) { raw.header().uuid[3] ^= 1; });
  forge("lane over the header", [](const RawRing& raw) { raw.header().lanes[0].offset = 0; });
  forge("lane beyond the end", [](const RawRing& raw) { raw.header().lanes[3].capacity *= 2; });
  forge("lane size wraps", [](const RawRing& raw) { raw.header().lanes[1].capacity = ~7ull; });
  forge("lanes overlap", [](const RawRing& raw) { raw.header().lanes[2].offset -= 4096; });
  forge("empty lane", [](const RawRing& raw) { raw.header().lanes[3].capacity = 0; });
  forge("odd lane", [](const RawRing& raw) { raw.header().lanes[3].capacity -= 1; });
  forge("tail beyond head", [](const RawRing& raw) { raw.lane(1).tail.store(64); });
  forge("odd tail", [](const RawRing& raw) { raw.lane(1).tail.store(3); });
  forge("head beyond the room", [](const RawRing& raw) { raw.lane(1).head.store(1ull << 40); });
}

TEST_F(ReaderTest, HostileFilesInTheWayAreSetAsideAndTheOthersGoOn) {
  const std::string base = scratch_.path() + "/";
  std::ofstream(base + "empty.ring").flush();
  std::ofstream(base + "text.ring") << std::string(100'000, 'x');
  ASSERT_EQ(mkfifo((base + "pipe.ring").c_str(), 0666), 0);
  ASSERT_EQ(mkdir((base + "directory.ring").c_str(), 0777), 0);
  ASSERT_EQ(symlink("/etc/passwd", (base + "link.ring").c_str()), 0);
  const auto directory = open_directory(scratch_.path());
  const WriterHandle writer(scratch_.path());
  EXPECT_EQ(directory->discover().size(), 1u);
  EXPECT_EQ(directory->quarantined().size(), 5u);
}

TEST_F(ReaderTest, HostileLiveRingSetAsideIsNotOfferedAgain) {
  const WriterHandle writer(scratch_.path());
  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  directory->quarantine(*ring, "says so");
  EXPECT_TRUE(directory->discover().empty());
  ASSERT_EQ(directory->quarantined().size(), 1u);
  EXPECT_EQ(directory->quarantined()[0].reason, "says so");
}

}  // namespace
}  // namespace sidecast::shm
