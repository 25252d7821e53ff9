// AWS's binary event streams, framed here with zlib's checksums.
#include "engine/normalise/event_stream.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <zlib.h>

#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

std::string number(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xFFU);
  return bytes;
}

std::string checksum(const std::string& bytes) {
  return number(static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size()))));
}

std::string header(const std::string& name, const std::string& value) {
  return static_cast<char>(name.size()) + name + '\x07' +
         number(static_cast<std::uint32_t>(value.size())).substr(2) + value;
}

std::string message(const std::string& headers, const std::string& payload) {
  const auto size = static_cast<std::uint32_t>(16 + headers.size() + payload.size());
  std::string bytes = number(size) + number(static_cast<std::uint32_t>(headers.size()));
  bytes += checksum(bytes);
  bytes += headers + payload;
  return bytes + checksum(bytes);
}

std::string event(const std::string& name, const std::string& payload) {
  return message(header(":event-type", name) + header(":message-type", "event"), payload);
}

class EventStream : public testing::Test, public RecordFixture {
 protected:
  std::vector<std::string> names_of(const std::string& stream) {
    std::vector<std::string> names;
    EventStreamReader reader(stream);
    while (const auto next = reader.next(arena_)) {
      names.push_back(std::string(next->name) + "=" + std::string(next->payload));
    }
    return names;
  }

  // Two pieces of text and the usage.
  const std::string text_ =
      event("messageStart", R"({"role":"assistant"})") +
      event("contentBlockDelta", R"({"contentBlockIndex":0,"delta":{"text":"a"}})") +
      event("contentBlockDelta", R"({"contentBlockIndex":0,"delta":{"text":"b"}})");
  const std::string end_ = event("messageStop", R"({"stopReason":"end_turn"})") +
                           event("metadata", R"({"usage":{"inputTokens":3,"outputTokens":2}})");

 private:
  Arena arena_;
};

TEST_F(EventStream, MessagesAreTheirNamesAndPayloads) {
  EXPECT_EQ(names_of(event("one", "{}") + event("two", "")),
            (std::vector<std::string>{"one={}", "two="}));
}

TEST_F(EventStream, AChunkIsTheModelsOwnEvent) {
  EXPECT_EQ(names_of(event("chunk", R"({"bytes":"eyJhIjoxfQ==","p":"abc"})")),
            (std::vector<std::string>{"chunk={\"a\":1}"}));
}

TEST_F(EventStream, HeadersOfEveryKindArePassedOver) {
  std::string headers;
  headers += std::string("\x01t\x00", 3) +
             std::string(
                 "\x01"
                 "f\x01",
                 3) +
             std::string(
                 "\x01"
                 "b\x02\x07",
                 4);
  headers += std::string("\x01n\x04\x00\x00\x00\x01", 7) + std::string("\x01s\x08", 3) +
             std::string(8, '\0');
  headers +=
      std::string("\x01u\x09", 3) + std::string(16, '\0') + std::string("\x01x\x06\x00\x02hi", 7);
  EXPECT_EQ(names_of(message(headers + header(":event-type", "e"), "p")),
            (std::vector<std::string>{"e=p"}));
}

TEST_F(EventStream, WhatFollowsABrokenMessageIsNotRead) {
  for (const std::size_t at : {0U, 9U, 13U, 40U}) {
    std::string broken = event("two", "{\"b\":12345678}");
    broken[at] = static_cast<char>(broken[at] ^ 1);
    EXPECT_EQ(names_of(event("one", "{}") + broken + event("three", "{}")),
              (std::vector<std::string>{"one={}"}))
        << at;
  }
}

TEST_F(EventStream, HostileLengthsAreNoMessages) {
  for (const std::uint32_t size : {0U, 8U, 15U, 0x7FFFFFFFU, 0xFFFFFFFFU}) {
    for (const std::uint32_t headers : {0U, 1U, 0xFFFFFFFFU}) {
      std::string bytes = number(size) + number(headers);
      bytes += checksum(bytes) + std::string(20, 'x');
      EXPECT_TRUE(names_of(bytes).empty()) << size << " " << headers;
    }
  }
}

TEST_F(EventStream, ABinaryStreamIsAnAnswer) {
  record.endpoint = "/model/m/converse-stream";
  const Trace trace = normalise("", text_ + end_);
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant t<ab>");
  EXPECT_EQ(trace.finish_reasons.at(0), "end_turn");
  EXPECT_EQ(trace.usage.input, 3);
  EXPECT_FALSE(trace.outcome.failed);
}

TEST_F(EventStream, ACutStreamIsReadAsFarAsItGoes) {
  const std::string whole = text_ + end_;
  for (std::size_t size = text_.size(); size < whole.size(); ++size) {
    const Trace trace = normalise("", whole.substr(0, size));
    EXPECT_EQ(show(trace.output_messages.at(0)), "assistant t<ab>") << size;
  }
}

TEST_F(EventStream, AnExceptionIsTheAnswersErrorAndKeepsTheTextBeforeIt) {
  const std::string exception = message(
      header(":exception-type", "throttlingException") + header(":message-type", "exception"),
      R"({"message":"slow down"})");
  const Trace trace = normalise("", text_ + exception);
  EXPECT_TRUE(trace.outcome.failed);
  EXPECT_EQ(trace.outcome.error_type, "throttlingException");
  EXPECT_EQ(trace.outcome.error_message, "slow down");
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant t<ab>");
}

TEST_F(EventStream, AnErrorWithoutAPayloadSaysSoInItsHeaders) {
  const Trace trace = normalise(
      "", message(header(":message-type", "error") + header(":error-code", "InternalError") +
                      header(":error-message", "say \"when\""),
                  ""));
  EXPECT_EQ(trace.outcome.error_type, "InternalError");
  EXPECT_EQ(trace.outcome.error_message, "say \"when\"");
}

}  // namespace
}  // namespace sidecast
