// Templates of headers and endpoints: what is filled in, what is left out.
#include "exporters/destinations/template.h"

#include <map>

#include <gtest/gtest.h>

namespace sidecast {
namespace {

std::string filled(std::string_view pattern,
                   const std::map<std::string, std::string, std::less<>>& values) {
  const auto result =
      fill_template(pattern, [&](std::string_view name) -> Result<std::string_view> {
        const auto found = values.find(name);
        if (found == values.end()) return fail("no " + std::string(name));
        return std::string_view(found->second);
      });
  if (!result) return "error: " + result.error().message();
  return result->value_or("(left out)");
}

TEST(Template, FillsOptionsIn) {
  EXPECT_EQ(filled("Bearer {a}", {{"a", "k"}}), "Bearer k");
  EXPECT_EQ(filled("{a}:{b}", {{"a", " k "}, {"b", "2"}}), "k:2");
  EXPECT_EQ(filled("4", {}), "4");
  EXPECT_EQ(filled("{a}", {{"a", "{b}"}}), "{b}") << "what is filled in is not filled again";
  EXPECT_EQ(filled("open {", {}), "open {");
}

TEST(Template, WhatHasAnEmptyOptionIsLeftOut) {
  EXPECT_EQ(filled("Bearer {a}", {{"a", ""}}), "(left out)");
  EXPECT_EQ(filled("Basic {basic:a:b}", {{"a", "x"}, {"b", " "}}), "(left out)");
  EXPECT_EQ(filled("{a}", {}), "error: no a");
}

TEST(Template, BasicIsBase64OfUserAndPassword) {
  // RFC 7617 §2.
  EXPECT_EQ(filled("Basic {basic:a:b}", {{"a", "Aladdin"}, {"b", "open sesame"}}),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
}

TEST(Template, UserOfAUrlOrTheValueItself) {
  EXPECT_EQ(filled("{user_of:a}", {{"a", "https://key:pass@h/1"}}), "key");
  EXPECT_EQ(filled("{user_of:a}", {{"a", "https://key@h/1"}}), "key");
  EXPECT_EQ(filled("{user_of:a}", {{"a", "key"}}), "key");
  EXPECT_EQ(filled("{user_of:a}", {{"a", "https://h/1"}}), "(left out)");
}

TEST(Template, NamesItsOptions) {
  using Names = std::vector<std::string_view>;
  EXPECT_EQ(options_of_template("x {a} {basic:b:c} {user_of:d}"), (Names{"a", "b", "c", "d"}));
  EXPECT_EQ(options_of_template("none"), Names{});
}

}  // namespace
}  // namespace sidecast
