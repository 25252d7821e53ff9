#include "exporters/dialects/attribute_writer.h"

#include <set>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace sidecast {
namespace {

TEST(AttributeWriter, LeavesOutWhatIsAbsent) {
  Arena arena;
  ArenaVector<Attribute> attributes(arena.resource());
  AttributeWriter out(attributes, arena);
  out.text("a", "");
  out.integer("b", std::nullopt);
  out.number("c", std::nullopt);
  out.texts("d", {});
  out.add_outside("", Metadatum{"", Text("no name"), false});
  out.add_outside("", Metadatum{"null", std::monostate{}, false});
  EXPECT_TRUE(attributes.empty());
  out.integer("zero", 0);  // reported, and zero
  EXPECT_EQ(attributes.size(), 1U);
}

TEST(AttributeWriter, KeepsTheFirstOfTwoEqualNames) {
  Arena arena;
  ArenaVector<Attribute> attributes(arena.resource());
  AttributeWriter out(attributes, arena);
  out.text("user.id", "ours");
  out.add_outside("", Metadatum{"user.id", Text("theirs"), false});
  out.add_outside("m.", Metadatum{"a", Text("first"), false});
  out.add_outside("m.", Metadatum{"a", Text("second"), false});
  ASSERT_EQ(attributes.size(), 2U);
  EXPECT_EQ(std::get<Text>(attributes[0].value), "ours");
  EXPECT_EQ(std::get<Text>(attributes[1].value), "first");
}

// Names that share length, head and tail meet in the filter; only the comparison tells them apart.
RC_GTEST_PROP(AttributeWriter, NamesFromOutsideStayUniqueAndComplete, ()) {
  Arena arena;
  ArenaVector<Attribute> attributes(arena.resource());
  AttributeWriter out(attributes, arena);
  const auto names = *rc::gen::container<std::vector<std::string>>(rc::gen::oneOf(
      rc::gen::map(rc::gen::inRange(0, 50),
                   [](int n) { return "same-head-" + std::to_string(n) + "-same-tail"; }),
      rc::gen::nonEmpty(rc::gen::arbitrary<std::string>())));
  for (const std::string& name : names) {
    out.add_outside("", Metadatum{arena.copy(name), true, false});
  }
  std::set<Text> written;
  for (const Attribute& attribute : attributes) RC_ASSERT(written.insert(attribute.key).second);
  RC_ASSERT(written.size() == std::set<std::string>(names.begin(), names.end()).size());
}

TEST(AttributeWriter, TenThousandNamesFromOutsideAreBearable) {
  Arena arena;
  ArenaVector<Attribute> attributes(arena.resource());
  AttributeWriter out(attributes, arena);
  for (int i = 0; i < 10'000; ++i) {
    out.add_outside("trace.metadata.", Metadatum{arena.copy(std::to_string(i)), true, false});
  }
  EXPECT_EQ(attributes.size(), 10'000U);
}

}  // namespace
}  // namespace sidecast
