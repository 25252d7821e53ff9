// Descriptors and options of each destination type; and the suite is run for each of them.
#include "tests/unit/exporters/conformance.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sidecast::conformance {
namespace {

TEST_P(Conformance, DescriptorSaysWhatAUserNeeds) {
  // Keys that every destination of the config has: an option of that name could never be set.
  const std::set<std::string_view> taken = {"name",
                                            "type",
                                            "enabled",
                                            "accounts",
                                            "api_keys",
                                            "sampling_rate",
                                            "sampling_salt",
                                            "headers",
                                            "privacy_mode",
                                            "privacy_keep",
                                            "timeout",
                                            "connections",
                                            "filter_rules",
                                            "regions",
                                            "ca_file",
                                            "proxy",
                                            "no_proxy",
                                            "proxy_credentials",
                                            "client_cert_file",
                                            "client_key_file",
                                            "http2_prior_knowledge"};
  EXPECT_FALSE(type().summary.empty());
  EXPECT_EQ(find_destination_type(type().name), &type());
  std::set<std::string_view> names;
  for (const Option& option : type().options) {
    SCOPED_TRACE(option.name);
    EXPECT_TRUE(names.insert(option.name).second);
    EXPECT_FALSE(taken.contains(option.name));
    EXPECT_EQ(option.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"),
              std::string_view::npos);
    EXPECT_TRUE(option.help.ends_with('.'));
    if (option.required) {
      EXPECT_EQ(option.fallback, "");
    }
    if (option.secret) {
      EXPECT_EQ(option.fallback, "");
    }
  }
}

TEST_P(Conformance, DefaultsMakeAWholeFormat) {
  const Format& format = exporter_->format();
  ASSERT_NE(format.dialect, nullptr);
  ASSERT_NE(format.encoder, nullptr);
  EXPECT_GT(format.limits.batch_records_max, 0U);
  EXPECT_GT(format.limits.batch_spans_max, 0U);
  EXPECT_GE(format.limits.batch_bytes_max, 64U << 10U);
  EXPECT_LE(format.limits.batch_bytes_max, 64U << 20U);
}

TEST_P(Conformance, EachRequiredOptionIsMissedByName) {
  for (const Option& option : type().options) {
    if (!option.required) continue;
    SCOPED_TRACE(option.name);
    for (const char* empty : {"", "  "}) {
      if (option.secret) {
        Secrets secrets = secrets_;
        secrets.erase(secrets.find(option.name));
        secrets.emplace(option.name, Secret(empty));
        Request request = std::move(encoded().at(0));
        const Status status = exporter_->authorise(request, secrets, kNow);
        ASSERT_FALSE(status);
        EXPECT_TRUE(contains(status.error().message(), option.name)) << status.error().message();
      } else {
        OptionValues options = values_of(type());
        options.values.find(option.name)->second = empty;
        const auto made = type().make(options);
        ASSERT_FALSE(made);
        EXPECT_TRUE(contains(made.error().message(), option.name)) << made.error().message();
      }
    }
  }
}

TEST_P(Conformance, HostileOptionValuesAreRefusedByNameOrHarmless) {
  const std::vector<std::string> hostile = {"\x01\r\nx-injected: 1",
                                            "http://",
                                            "{",
                                            "{nonsense}",
                                            "../../..",
                                            std::string(100'000, 'a'),
                                            "\xff\xfe",
                                            "-1",
                                            "99999999999999999999",
                                            "https://u:p@h/",
                                            "a=b,a=b,=,c"};
  for (const Option& option : type().options) {
    if (option.secret) continue;
    for (const std::string& value : hostile) {
      SCOPED_TRACE(std::string(option.name) + "=" + value.substr(0, 30));
      OptionValues options = values_of(type());
      options.values.find(option.name)->second = value;
      const auto made = type().make(options);
      if (!made) {
        EXPECT_TRUE(contains(made.error().message(), option.name)) << made.error().message();
        EXPECT_LT(made.error().message().size(), 500U);
        continue;
      }
      auto requests = (*made)->encode(batch_for((*made)->format()));
      ASSERT_TRUE(requests);
      for (const Request& request : *requests) expect_well_formed(request);
      expect_well_formed((*made)->probe(kNow));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, Conformance,
                         ::testing::ValuesIn(destination_types().begin(),
                                             destination_types().end()),
                         [](const auto& param) {
                           std::string name(param.param->name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(RegistryTest, TypesAreSortedAndNamesDiffer) {
  const auto types = destination_types();
  ASSERT_GE(types.size(), 3U);
  for (std::size_t i = 1; i < types.size(); ++i) EXPECT_LT(types[i - 1]->name, types[i]->name);
  EXPECT_EQ(find_destination_type("nonsense"), nullptr);
}

}  // namespace
}  // namespace sidecast::conformance
