#include "engine/normalise/sse.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sidecast {
namespace {

// "name=data" of each event.
std::vector<std::string> events(Text stream) {
  static Arena arena;
  arena.reset();
  std::vector<std::string> all;
  SseReader reader(stream);
  while (const auto event = reader.next(arena)) {
    all.push_back(std::string(event->name) + "=" + std::string(event->data));
  }
  return all;
}

using Events = std::vector<std::string>;

TEST(Sse, EventsEndAtABlankLine) {
  EXPECT_EQ(events("data: a\n\nevent: ping\ndata: b\n\n"), (Events{"=a", "ping=b"}));
}

TEST(Sse, CarriageReturnsBeforeNewlinesAreNoText) {
  EXPECT_EQ(events("event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n"), (Events{"x=a", "=b"}));
}

TEST(Sse, CarriageReturnsAloneEndLinesToo) {
  EXPECT_EQ(events("data: a\r\rdata: b\r\r"), (Events{"=a", "=b"}));
}

TEST(Sse, CommentsAndUnknownFieldsArePassedOver) {
  EXPECT_EQ(events(": OPENROUTER PROCESSING\n\nid: 1\nretry: 5\n: x\ndata: a\n\n"), (Events{"=a"}));
}

TEST(Sse, DataLinesOfOneEventAreJoinedByNewlines) {
  EXPECT_EQ(events("data: a\ndata:b\nevent: n\ndata:\ndata:  c\n\n"), (Events{"n=a\nb\n\n c"}));
}

TEST(Sse, OnlyOneSpaceAfterTheColonBelongsToTheField) {
  EXPECT_EQ(events("data:a\n\ndata:  a\n\ndata\n\n"), (Events{"=a", "= a", "="}));
}

TEST(Sse, WhatACutStreamHadSaidIsStillAnEvent) {
  EXPECT_EQ(events("data: a\n\ndata: {\"b\":"), (Events{"=a", "={\"b\":"}));
}

TEST(Sse, AByteOrderMarkIsNoText) {
  EXPECT_EQ(events("\xEF\xBB\xBF"
                   "data: a\n\n"),
            (Events{"=a"}));
}

TEST(Sse, HostileManyDataLinesCostNoMoreThanTheirBytes) {
  std::string stream;
  for (int i = 0; i < 200'000; ++i) stream += "data: x\n";
  Arena arena;
  SseReader reader(stream);
  const auto event = reader.next(arena);  // quadratic, this would copy 40 GB
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->data.size(), 2 * 200'000 - 1);
  EXPECT_FALSE(reader.next(arena).has_value());
}

TEST(Sse, StreamsAreToldFromJsonByTheirFirstLine) {
  for (const Text text : {"data: {}", ": hello", "event: x", "\r\n\ndata:x", "id: 7"}) {
    EXPECT_TRUE(looks_like_sse(text)) << text;
  }
  for (const Text text : {"{\"data\":1}", "[1]", "", "database", "Bad Gateway"}) {
    EXPECT_FALSE(looks_like_sse(text)) << text;
  }
}

}  // namespace
}  // namespace sidecast
