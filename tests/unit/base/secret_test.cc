#include "engine/base/secret.h"

#include <sstream>
#include <type_traits>

#include <gtest/gtest.h>

namespace sidecast {
namespace {

template <typename T, typename = void>
struct CanBeStreamed : std::false_type {};
template <typename T>
struct CanBeStreamed<T, std::void_t<decltype(std::declval<std::ostream&>() << std::declval<T>())>>
    : std::true_type {};

TEST(Secret, PrintsAsStars) {
  const Secret secret("hunter2");
  EXPECT_EQ(fmt::format("{}", secret), "***");
  EXPECT_EQ(fmt::format("{:>5}", secret), "  ***");
  EXPECT_EQ(fmt::format("{}", Secret()), "***") << "not even whether there is one";
  EXPECT_EQ(secret.reveal(), "hunter2");
}

TEST(Secret, HasNoOtherWayOut) {
  static_assert(CanBeStreamed<int>::value);
  static_assert(!CanBeStreamed<Secret>::value);
  static_assert(!std::is_convertible_v<Secret, std::string>);
  static_assert(!std::is_convertible_v<Secret, std::string_view>);
  static_assert(!std::is_convertible_v<std::string, Secret>, "made on purpose only");
}

TEST(Secret, CopiesAndMovesKeepTheValue) {
  Secret secret("a value longer than any small-string buffer");
  const Secret copy = secret;
  const Secret moved = std::move(secret);
  EXPECT_EQ(copy.reveal(), moved.reveal());
  EXPECT_FALSE(copy.empty());
  EXPECT_TRUE(Secret().empty());
}

}  // namespace
}  // namespace sidecast
