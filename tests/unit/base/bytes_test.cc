#include "engine/base/bytes.h"

#include <gtest/gtest.h>

namespace sidecast {
namespace {

TEST(ByteBuffer, KeepsItsBytesWhileItGrows) {
  ByteBuffer buffer;
  std::string expected;
  for (int i = 0; i < 10'000; ++i) {
    const std::string piece = std::to_string(i);
    buffer.append(piece);
    buffer.push_back(',');
    expected += piece + ",";
  }
  EXPECT_EQ(buffer.view(), expected);
}

TEST(ByteBuffer, ReservedRoomCountsOnlyAfterAdvance) {
  ByteBuffer buffer;
  std::memcpy(buffer.reserve(100), "abc", 3);
  EXPECT_EQ(buffer.size(), 0U);
  buffer.advance(3);
  EXPECT_EQ(buffer.view(), "abc");
}

TEST(ByteBuffer, ClearKeepsItsMemoryAndShrinkGivesItBack) {
  ByteBuffer buffer;
  buffer.append(std::string(50'000, 'x'));
  const std::size_t capacity = buffer.capacity();
  buffer.clear();
  EXPECT_EQ(buffer.capacity(), capacity);
  buffer.shrink(capacity);
  EXPECT_EQ(buffer.capacity(), capacity) << "not above what may be kept";
  buffer.shrink(1000);
  EXPECT_EQ(buffer.capacity(), 0U);
  buffer.append("again");
  EXPECT_EQ(buffer.view(), "again");
}

TEST(ByteBuffer, TruncateNeverGrows) {
  ByteBuffer buffer;
  buffer.append("abcdef");
  buffer.truncate(3);
  EXPECT_EQ(buffer.view(), "abc");
  buffer.truncate(100);
  EXPECT_EQ(buffer.view(), "abc");
}

TEST(ByteBuffer, MovesItsMemory) {
  ByteBuffer from;
  from.append("abc");
  ByteBuffer to(std::move(from));
  EXPECT_EQ(to.view(), "abc");
  ByteBuffer assigned;
  assigned = std::move(to);
  EXPECT_EQ(assigned.view(), "abc");
}

TEST(ToHex, IsLowerCaseWithLeadingZeros) {
  EXPECT_EQ(to_hex(std::string_view("\x00\x0f\xAB\xff", 4)), "000fabff");
  EXPECT_EQ(to_hex(""), "");
}

}  // namespace
}  // namespace sidecast
