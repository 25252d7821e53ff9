// A lane alone, in plain memory: positions, room, wrap, and both ends at once.
#include "shm/lane.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace sidecast::shm {
namespace {

constexpr std::uint64_t kCapacity = 16384;

// A lane whose data the writer sees twice in a row; the reader may use a third mapping.
class LaneMemory {
 public:
  LaneMemory() : file_(memfd_create("lane", MFD_CLOEXEC)) {
    if (ftruncate(file_, kCapacity) != 0) return;
    data_ = static_cast<char*>(
        mmap(nullptr, 3 * kCapacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (std::uint64_t i = 0; i < 3; ++i) {
      mmap(data_ + i * kCapacity, kCapacity, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_,
           0);
    }
  }
  ~LaneMemory() {
    munmap(data_, 3 * kCapacity);
    close(file_);
  }
  LaneMemory(const LaneMemory&) = delete;
  LaneMemory& operator=(const LaneMemory&) = delete;

  [[nodiscard]] LaneWriter writer() { return {&control, data_, kCapacity}; }
  [[nodiscard]] LaneReader reader() { return {&control, data_, kCapacity}; }
  [[nodiscard]] LaneReader reader_elsewhere() {
    return {&control, data_ + 2 * kCapacity, kCapacity};
  }

  LaneControl control{};

 private:
  int file_;
  char* data_ = nullptr;
};

void put(LaneWriter& lane, std::uint32_t bytes, char fill, bool shed = false) {
  RecordHeader header{};
  header.size_bytes = bytes;
  header.sequence = lane.sequence();
  std::memset(lane.room(), fill, bytes);
  std::memcpy(lane.room(), &header, sizeof header);
  lane.publish(bytes, shed);
}

TEST(Lane, ATryLockIsTakenOnce) {
  TryLock lock;
  EXPECT_TRUE(lock.try_take());
  EXPECT_FALSE(lock.try_take());
  lock.give_back();
  EXPECT_TRUE(lock.try_take());
}

TEST(Lane, RecordsComeBackInOrderWithTheirSequence) {
  LaneMemory memory;
  LaneWriter writer = memory.writer();
  LaneReader reader = memory.reader();
  ASSERT_TRUE(reader.recover());
  put(writer, 80, 'a');
  put(writer, 160, 'b', true);
  LanePosition cursor = reader.released();
  std::string bytes;
  ASSERT_EQ(reader.peek(cursor, bytes), LaneRead::kRecord);
  EXPECT_EQ(bytes.size(), 80u);
  EXPECT_EQ(bytes[60], 'a');
  ASSERT_EQ(reader.peek(cursor, bytes), LaneRead::kRecord);
  EXPECT_EQ(bytes[60], 'b');
  EXPECT_EQ(cursor.position, 240u);
  EXPECT_EQ(cursor.sequence, 2u);
  EXPECT_EQ(reader.peek(cursor, bytes), LaneRead::kEmpty);
  EXPECT_EQ(reader.counts().totals.written, 2u);
  EXPECT_EQ(reader.counts().totals.shed, 1u);
  EXPECT_EQ(reader.counts().used_bytes, 240u);
}

//   | free 1/8 reserve | records ............................................ |
TEST(Lane, TheReserveIsKeptFreeUnlessAskedFor) {
  LaneMemory memory;
  LaneWriter writer = memory.writer();
  EXPECT_TRUE(writer.has_room(kCapacity * 7 / 8, reserve_bytes(kCapacity)));
  EXPECT_FALSE(writer.has_room(kCapacity * 7 / 8 + 8, reserve_bytes(kCapacity)));
  put(writer, kCapacity * 7 / 8, 'x');
  EXPECT_FALSE(writer.has_room(80, reserve_bytes(kCapacity)));
  EXPECT_TRUE(writer.has_room(kCapacity / 8, 0));
  EXPECT_FALSE(writer.has_room(kCapacity / 8 + 8, 0));
  EXPECT_FALSE(writer.has_room(kCapacity + 8, 0));
}

TEST(Lane, RoomComesBackOnlyThroughRelease) {
  LaneMemory memory;
  LaneWriter writer = memory.writer();
  LaneReader reader = memory.reader();
  ASSERT_TRUE(reader.recover());
  while (writer.has_room(1024, 0)) put(writer, 1024, 'x');
  LanePosition cursor = reader.released();
  std::string bytes;
  ASSERT_EQ(reader.peek(cursor, bytes), LaneRead::kRecord);
  EXPECT_FALSE(writer.has_room(1024, 0));
  reader.release(cursor);
  EXPECT_TRUE(writer.has_room(1024, 0));
  EXPECT_FALSE(writer.has_room(1032, 0));
  EXPECT_EQ(reader.counts().used_bytes_max, kCapacity);
}

TEST(Lane, ARecordThatWrapsIsOnePieceForBothSides) {
  LaneMemory memory;
  LaneWriter writer = memory.writer();
  LaneReader reader = memory.reader_elsewhere();
  ASSERT_TRUE(reader.recover());
  LanePosition cursor = reader.released();
  std::string bytes;
  // 1,000 and 16,384 have no common factor beyond 8, so every way to wrap is seen.
  for (int i = 0; i < 5000; ++i) {
    const char fill = static_cast<char>('a' + i % 26);
    ASSERT_TRUE(writer.has_room(1000, 0));
    put(writer, 1000, fill);
    ASSERT_EQ(reader.peek(cursor, bytes), LaneRead::kRecord);
    ASSERT_EQ(bytes.substr(56, 1000 - 56 - 16), std::string(1000 - 56 - 16, fill));
    reader.release(cursor);
  }
  EXPECT_EQ(reader.counts().totals.written, 5000u);
}

TEST(Lane, SequenceSurvivesTheReaderWhereverItDied) {
  LaneMemory memory;
  LaneWriter writer = memory.writer();
  for (int i = 0; i < 3; ++i) put(writer, 96, 'x');
  for (std::uint64_t released = 0; released <= 3; ++released) {
    memory.control.tail.store(released * 96);
    LaneReader reader = memory.reader();
    ASSERT_TRUE(reader.recover());
    EXPECT_EQ(reader.released().sequence, released);
    EXPECT_EQ(reader.released().position, released * 96);
  }
}

TEST(Lane, HostileTailDoesNotMakeTheWriterOverwrite) {
  LaneMemory memory;
  LaneWriter writer = memory.writer();
  while (writer.has_room(1024, 0)) put(writer, 1024, 'x');
  memory.control.tail.store(1ull << 40);  // ahead of the head
  EXPECT_FALSE(writer.has_room(1024, 0));
}

TEST(Lane, ReaderNeverSeesHalfARecord) {
  LaneMemory memory;
  LaneWriter writer = memory.writer();
  LaneReader reader = memory.reader();
  ASSERT_TRUE(reader.recover());
  constexpr std::uint64_t kRecords = 50'000;
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < kRecords;) {
      const auto bytes = static_cast<std::uint32_t>(80 + i * 8 % 2048);
      if (!writer.has_room(bytes, 0)) {
        std::this_thread::yield();
        continue;
      }
      put(writer, bytes, static_cast<char>(i));
      ++i;
    }
  });
  LanePosition cursor = reader.released();
  std::string bytes;
  std::uint64_t torn = 0;
  bool is_hostile = false;
  while (cursor.sequence < kRecords && !is_hostile) {
    const char fill = static_cast<char>(cursor.sequence);
    switch (reader.peek(cursor, bytes)) {
      case LaneRead::kRecord:
        for (std::size_t at = sizeof(RecordHeader); at < bytes.size() - sizeof(RecordTrailer);
             ++at) {
          if (bytes[at] != fill) ++torn;
        }
        reader.release(cursor);
        break;
      case LaneRead::kEmpty:
        std::this_thread::yield();
        break;
      case LaneRead::kHostile:
        is_hostile = true;
        break;
    }
  }
  // The producer cannot end without the reader's releases.
  if (is_hostile) memory.control.tail.store(memory.control.head.load());
  producer.join();
  EXPECT_FALSE(is_hostile);
  EXPECT_EQ(torn, 0u);
}

}  // namespace
}  // namespace sidecast::shm
