// Memory for secrets, as the kernel sees it.
#include "engine/base/locked_memory.h"

#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sidecast {
namespace {

// The VmFlags line of the mapping that holds this address.
std::string kernel_flags(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  bool is_inside = false;
  for (std::string line; std::getline(maps, line);) {
    const std::size_t dash = line.find('-');
    if (dash != std::string::npos && line.find(':') > dash && std::isxdigit(line[0]) != 0) {
      const std::uintptr_t first = std::stoull(line.substr(0, dash), nullptr, 16);
      const std::uintptr_t last = std::stoull(line.substr(dash + 1), nullptr, 16);
      is_inside = wanted >= first && wanted < last;
    } else if (is_inside && line.starts_with("VmFlags:")) {
      return line.substr(8) + " ";
    }
  }
  return "(none)";
}

// The sanitizers make mlock() a call that does nothing.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMlockIsReal = false;
#else
constexpr bool kMlockIsReal = true;
#endif

TEST(LockedMemory, IsLeftOutOfCoreDumpsAndNotSwapped) {
  for (const std::size_t size : {8U, 300U, 4096U, 100'000U}) {
    const LockedBytes bytes(std::string(size, 's'));
    const std::string flags = kernel_flags(bytes.view().data());
    EXPECT_NE(flags.find(" dd "), std::string::npos) << flags;
    if (kMlockIsReal && unlocked_secret_pages() == 0) {
      EXPECT_NE(flags.find(" lo "), std::string::npos) << flags;
    }
  }
}

TEST(LockedMemory, IsWipedWhenItIsGivenBack) {
  const char* place = nullptr;
  {
    const LockedBytes bytes(std::string(200, 's'));
    place = bytes.view().data();
  }
  // The slot is taken again: nothing of before is in it.
  const LockedBytes again(std::size_t{200});
  ASSERT_EQ(again.view().data(), place);
  EXPECT_EQ(again.view(), std::string(200, '\0'));
}

TEST(LockedMemory, IsEmptyInAForkedChild) {
  const LockedBytes bytes(std::string(32, 's'));
  const pid_t child = fork();
  if (child == 0) {
    const bool is_empty = bytes.view() == std::string(32, '\0');
    _exit(is_empty ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(bytes.view(), std::string(32, 's'));
}

TEST(LockedMemory, CopiesAndMovesKeepTheBytesAndSlotsAreUsedAgain) {
  LockedBytes one("first");
  LockedBytes two = one;
  EXPECT_NE(one.view().data(), two.view().data());
  EXPECT_EQ(two.view(), "first");
  one = LockedBytes("other");
  EXPECT_EQ(two.view(), "first");
  const LockedBytes moved = std::move(two);
  EXPECT_EQ(moved.view(), "first");
  EXPECT_EQ(LockedBytes().size(), 0U);
  EXPECT_EQ(LockedBytes("").size(), 0U);
  std::vector<LockedBytes> many;
  for (int i = 0; i < 5000; ++i) many.emplace_back("secret " + std::to_string(i));
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(many[static_cast<std::size_t>(i)].view(), "secret " + std::to_string(i));
  }
}

TEST(LockedMemory, SecretsAreComparedWhole) {
  EXPECT_TRUE(are_equal_secrets("abc", "abc"));
  EXPECT_FALSE(are_equal_secrets("abc", "abd"));
  EXPECT_FALSE(are_equal_secrets("abc", "ab"));
  EXPECT_TRUE(are_equal_secrets("", ""));
}

}  // namespace
}  // namespace sidecast
