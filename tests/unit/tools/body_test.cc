#include "tools/receiver/body.h"

#include <gtest/gtest.h>

#include "tests/unit/tools/codecs.h"

namespace sidecast::receiver {
namespace {

constexpr std::size_t kRoom = 1U << 20U;
const std::string kText = "{\"a\":\"" + std::string(200'000, 'x') + "\"}";

TEST(Body, PlainTextPassesUnchanged) {
  EXPECT_EQ(decode_body("", "abc", kRoom).value(), "abc");
  EXPECT_EQ(decode_body("identity", "abc", kRoom).value(), "abc");
}

TEST(Body, GzipAndZstdAreUndone) {
  EXPECT_EQ(decode_body("gzip", gzip_for_test(kText), kRoom).value(), kText);
  EXPECT_EQ(decode_body("zstd", zstd_for_test(kText), kRoom).value(), kText);
  EXPECT_EQ(decode_body("gzip", gzip_for_test(""), kRoom).value(), "");
  EXPECT_EQ(decode_body("zstd", zstd_for_test(""), kRoom).value(), "");
}

TEST(Body, SeveralMembersAndFramesAreReadToTheEnd) {
  EXPECT_EQ(decode_body("gzip", gzip_for_test("one ") + gzip_for_test(kText), kRoom).value(),
            "one " + kText);
  EXPECT_EQ(decode_body("zstd", zstd_for_test("one ") + zstd_for_test(kText), kRoom).value(),
            "one " + kText);
}

TEST(Body, UnknownEncodingIsA415) {
  EXPECT_EQ(decode_body("br", "abc", kRoom).error().status, 415);
  EXPECT_EQ(decode_body("gzip, gzip", "abc", kRoom).error().status, 415);
}

TEST(Body, HostileCutBodiesAreRefusedAtEveryLength) {
  for (const auto& [encoding, whole] :
       {std::pair("gzip", gzip_for_test("some text that compresses, text")),
        std::pair("zstd", zstd_for_test("some text that compresses, text"))}) {
    for (std::size_t length = 0; length < whole.size(); ++length) {
      const auto decoded = decode_body(encoding, whole.substr(0, length), kRoom);
      ASSERT_FALSE(decoded.has_value()) << encoding << " cut to " << length;
      EXPECT_EQ(decoded.error().status, 400);
    }
  }
}

TEST(Body, HostileBytesAfterTheEndAreRefused) {
  EXPECT_EQ(decode_body("gzip", gzip_for_test("x") + "junk", kRoom).error().status, 400);
  EXPECT_EQ(decode_body("zstd", zstd_for_test("x") + "junk", kRoom).error().status, 400);
  EXPECT_EQ(decode_body("gzip", "not gzip at all", kRoom).error().status, 400);
}

TEST(Body, HostileBombsStopAtTheLimit) {
  const std::string zeros(64U << 20U, '\0');
  EXPECT_EQ(decode_body("gzip", gzip_for_test(zeros), kRoom).error().status, 413);
  EXPECT_EQ(decode_body("zstd", zstd_for_test(zeros), kRoom).error().status, 413);
  EXPECT_EQ(decode_body("", std::string(kRoom + 1, 'x'), kRoom).error().status, 413);
  EXPECT_TRUE(decode_body("", std::string(kRoom, 'x'), kRoom).has_value());
}

}  // namespace
}  // namespace sidecast::receiver
