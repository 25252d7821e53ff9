// Sealed secrets: who has the key reads them, nobody else, and damage is told.
#include "engine/base/seal.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "engine/base/base64.h"
#include "engine/base/secret.h"

namespace sidecast {
namespace {

std::string key_line() {
  return std::string(SealKeys::new_key_line().view());
}

SealKeys keys_of(const std::string& text) {
  auto keys = SealKeys::parse(text);
  EXPECT_TRUE(keys) << keys.error().message();
  return std::move(*keys);
}

TEST(Seal, OpensWhatItSealed) {
  const SealKeys keys = keys_of(key_line());
  for (const std::string& secret :
       {std::string("k"), std::string("Bearer abc"), std::string("\0\n\xff", 3),
        std::string(kSecretBytesMax, 'x')}) {
    const auto sealed = keys.seal(secret);
    ASSERT_TRUE(sealed);
    EXPECT_TRUE(sealed->starts_with("sealed:"));
    EXPECT_EQ(sealed->find(secret.substr(0, 10)),
              secret.size() < 2 ? sealed->find(secret) : std::string::npos);
    const auto opened = keys.open(*sealed);
    ASSERT_TRUE(opened) << opened.error().message();
    EXPECT_EQ(opened->view(), secret);
  }
  EXPECT_FALSE(keys.seal(""));
  EXPECT_FALSE(keys.seal(std::string(kSecretBytesMax + 1, 'x')));
}

TEST(Seal, TheSameSecretIsSealedDifferentlyEachTime) {
  const SealKeys keys = keys_of(key_line());
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(seen.insert(*keys.seal("secret")).second);
}

TEST(Seal, HostileDamageOfAnyByteIsFound) {
  const SealKeys keys = keys_of(key_line());
  const std::string sealed = *keys.seal("a secret");
  const std::string value = *from_base64url(sealed.substr(7));
  for (std::size_t i = 0; i < value.size(); ++i) {
    std::string damaged = value;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(keys.open("sealed:" + to_base64url(damaged))) << i;
    EXPECT_FALSE(keys.open("sealed:" + to_base64url(value.substr(0, i)))) << i;
  }
  for (const char* text : {"", "sealed:", "sealed:!!!", "secret", "sealed:AAAA", "Sealed:AAAA"}) {
    EXPECT_FALSE(keys.open(text)) << text;
  }
  EXPECT_FALSE(keys.open(sealed + "=")) << "one spelling only";
}

TEST(Seal, AnotherKeyIsToldFromDamage) {
  const std::string sealed = *keys_of(key_line()).seal("a secret");
  const auto opened = keys_of(key_line()).open(sealed);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message(), "it was sealed under a key that is not here");
}

TEST(Seal, TheFirstKeySealsAndAllOpen) {
  const std::string old_key = key_line();
  const std::string new_key = key_line();
  const SealKeys both = keys_of("# keys\n\n" + new_key + old_key);
  EXPECT_EQ(both.open(*keys_of(old_key).seal("a"))->view(), "a");
  EXPECT_TRUE(keys_of(new_key).open(*both.seal("a")));
  EXPECT_FALSE(keys_of(old_key).open(*both.seal("a")));
}

TEST(Seal, HostileKeyTextsAreRefusedWithoutQuotingThem) {
  const std::string key = key_line();
  for (const std::string& text :
       {std::string(), std::string("# nothing\n"), std::string("hunter2"),
        "sidecast-key:" + std::string(10, 'A'), key.substr(0, key.size() - 3),
        "sidecast-key:" + std::string(44, 'A')}) {
    const auto keys = SealKeys::parse(text);
    ASSERT_FALSE(keys) << text;
    EXPECT_EQ(keys.error().message().find("hunter2"), std::string::npos);
    EXPECT_EQ(keys.error().message().find("AAAA"), std::string::npos);
  }
  std::string many;
  for (int i = 0; i < 17; ++i) many += key_line();
  EXPECT_FALSE(SealKeys::parse(many));
}

TEST(Seal, ASealedSecretStaysSealedUntilItIsOpened) {
  const auto keys = std::make_shared<const SealKeys>(keys_of(key_line()));
  const Secret sealed(*keys->seal("hunter2"), keys);
  EXPECT_TRUE(sealed.is_sealed());
  EXPECT_FALSE(sealed.empty());
  EXPECT_EQ(sealed.reveal(), "");
  EXPECT_EQ(fmt::format("{}", sealed), "***");
  EXPECT_EQ(sealed.open()->reveal(), "hunter2");
  EXPECT_EQ(sealed, Secret(sealed));
  EXPECT_FALSE(sealed == Secret("hunter2"));
  const auto opened = open_secrets({{"a", sealed}, {"b", Secret("plain")}});
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->at("a").reveal(), "hunter2");
  EXPECT_EQ(opened->at("b").reveal(), "plain");
  const auto wrong = std::make_shared<const SealKeys>(keys_of(key_line()));
  const auto failed = open_secrets({{"a", Secret(*keys->seal("x"), wrong)}});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message(), "a: it was sealed under a key that is not here");
}

TEST(Base64, HasOneSpellingOfEachValue) {
  // RFC 4648 §10.
  EXPECT_EQ(to_base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(to_base64("fo"), "Zm8=");
  EXPECT_EQ(to_base64url("\xff\xfe"), "__4");
  EXPECT_EQ(from_base64url("__4"), "\xff\xfe");
  EXPECT_EQ(from_base64url("Zm8="), std::nullopt);
  EXPECT_EQ(from_base64url("Zm9"), std::nullopt) << "stray bits at the end";
  EXPECT_EQ(from_base64url("a b"), std::nullopt);
}

}  // namespace
}  // namespace sidecast
