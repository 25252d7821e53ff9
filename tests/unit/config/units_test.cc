#include "engine/config/units.h"

#include <gtest/gtest.h>

namespace sidecast {
namespace {

using std::chrono::milliseconds;

TEST(Units, SizesHaveBinaryAndDecimalUnits) {
  EXPECT_EQ(parse_size_bytes("0"), 0U);
  EXPECT_EQ(parse_size_bytes("1024"), 1024U);
  EXPECT_EQ(parse_size_bytes("7B"), 7U);
  EXPECT_EQ(parse_size_bytes("512MiB"), 512ULL << 20U);
  EXPECT_EQ(parse_size_bytes("2 GiB"), 2ULL << 30U);
  EXPECT_EQ(parse_size_bytes("3MB"), 3'000'000U);
}

TEST(Units, WhatIsNoSizeIsNothing) {
  for (const char* text : {"", "MiB", "-1", "+1", "1.5GiB", "1 ", "1  KiB", "1mib", "1KiBx", "0x10",
                           "99999999999999999999", "99999999TiB"}) {
    EXPECT_EQ(parse_size_bytes(text), std::nullopt) << text;
  }
}

TEST(Units, DurationsNeedAUnit) {
  EXPECT_EQ(parse_duration("500ms"), milliseconds(500));
  EXPECT_EQ(parse_duration("1s"), milliseconds(1'000));
  EXPECT_EQ(parse_duration("2m"), milliseconds(120'000));
  EXPECT_EQ(parse_duration("1d"), milliseconds(86'400'000));
  for (const char* text : {"", "5", "s", "1.5s", "-1s", "1S", "1us", "99999999999999d"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
}

TEST(Units, TextsUseTheLargestUnitThatFits) {
  EXPECT_EQ(size_text(0), "0B");
  EXPECT_EQ(size_text(1536), "1536B");
  EXPECT_EQ(size_text(16ULL << 20U), "16MiB");
  EXPECT_EQ(duration_text(milliseconds(0)), "0ms");
  EXPECT_EQ(duration_text(milliseconds(90'000)), "90s");
  EXPECT_EQ(duration_text(milliseconds(120'000)), "2m");
}

}  // namespace
}  // namespace sidecast
