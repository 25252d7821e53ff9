#include "exporters/destinations/options.h"

#include <string>

#include <gtest/gtest.h>

namespace sidecast {
namespace {

std::string error_of(const auto& result) {
  return result ? "" : result.error().message();
}

TEST(Options, WrongChoiceNamesOptionValueAllowedAndTheLikelyOne) {
  static constexpr std::string_view kAllowed[] = {"none", "gzip", "zstd"};
  EXPECT_EQ(*parse_choice("compression", "gzip", kAllowed), "gzip");
  EXPECT_EQ(error_of(parse_choice("compression", "gzpi", kAllowed)),
            "compression is 'gzpi'; it must be one of none, gzip, zstd; did you mean 'gzip'?");
  EXPECT_EQ(error_of(parse_choice("compression", "brotli", kAllowed)),
            "compression is 'brotli'; it must be one of none, gzip, zstd");
}

TEST(Options, HostileValueIsQuotedShortAndPrintable) {
  const std::string message = error_of(parse_flag("x", "\x1b[2J" + std::string(1000, 'a')));
  EXPECT_LT(message.size(), 120U);
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
}

TEST(Options, NumbersKeepTheirRange) {
  EXPECT_EQ(*parse_number("n", "512", {.min = 1, .max = 512}), 512U);
  for (const char* wrong : {"", "0", "513", "-1", "1.5", "12x", " 1", "18446744073709551616"}) {
    EXPECT_FALSE(parse_number("n", wrong, {.min = 1, .max = 512})) << wrong;
  }
}

TEST(Options, BytesTakeUnits) {
  const Range range{.min = 1, .max = 1ULL << 40U};
  EXPECT_EQ(*parse_bytes("b", "4MiB", range), 4U << 20U);
  EXPECT_EQ(*parse_bytes("b", "4 MB", range), 4'000'000U);
  EXPECT_EQ(*parse_bytes("b", "4096", range), 4096U);
  for (const char* wrong : {"", "MiB", "4 XB", "-4MiB", "18446744073709551615GiB", "2000GiB"}) {
    EXPECT_FALSE(parse_bytes("b", wrong, range)) << wrong;
  }
}

TEST(Options, PairsFollowTheOpenTelemetryEnvironment) {
  const auto pairs = parse_pairs("r", " a=1, b = x%2Cy=z ,,c=");
  ASSERT_TRUE(pairs);
  ASSERT_EQ(pairs->size(), 3U);
  EXPECT_EQ((*pairs)[1].first, "b");
  EXPECT_EQ((*pairs)[1].second, "x,y=z");
  EXPECT_EQ((*pairs)[2].second, "");
  for (const char* wrong : {"a", "=1", "a=1,a=2", "a=%ff", "a=1,%"}) {
    EXPECT_FALSE(parse_pairs("r", wrong)) << wrong;
  }
  EXPECT_EQ(parse_pairs("r", "a=%4")->front().second, "%4");
}

TEST(Options, UrlsAreTakenApart) {
  const auto url = parse_url("endpoint", " HTTPS://host.example:8443/a/b?c=d ");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->authority, "host.example:8443");
  EXPECT_EQ(url->path, "/a/b");
  EXPECT_EQ(url->query, "?c=d");
  EXPECT_EQ(url->text(), "https://host.example:8443/a/b?c=d");
  for (const char* right : {"http://h", "http://[::1]:4318/x", "http://1.2.3.4", "http://h?x"}) {
    EXPECT_TRUE(parse_url("endpoint", right)) << right;
  }
  for (const char* wrong :
       {"", "localhost:4318", "ftp://h", "http://", "http:///p", "http://h:0", "http://h:65536",
        "http://h:", "http://h:x", "http://[::1", "http://[::1]x", "http://h/#f", "http://h/a b",
        "http://h/\nx", "http://h/\xc3\xa4", "http://h\\@x/"}) {
    EXPECT_FALSE(parse_url("endpoint", wrong)) << wrong;
  }
}

TEST(Options, UrlWithCredentialsIsRefusedWithoutQuotingThem) {
  const std::string message = error_of(parse_url("endpoint", "https://user:hunter2@host/"));
  EXPECT_NE(message.find("endpoint"), std::string::npos);
  EXPECT_EQ(message.find("hunter2"), std::string::npos);
}

TEST(Options, StatusesAreErrorsOnly) {
  EXPECT_EQ(*parse_statuses("s", "408, 500"), (std::vector<int>{408, 500}));
  EXPECT_TRUE(parse_statuses("s", "")->empty());
  EXPECT_FALSE(parse_statuses("s", "200"));
  EXPECT_FALSE(parse_statuses("s", "500,x"));
}

}  // namespace
}  // namespace sidecast
