// Tenants' files: what one may say, and a directory of them that changes.
#include "engine/config/tenants.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "engine/config/loader.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/config/fake_destination.h"

namespace sidecast {
namespace {

using Texts = std::vector<std::string>;

TenantReport check(const std::string& text) {
  return check_tenant_file(text, "/tenants/acme.yaml", test::kFakeTypes);
}

std::string fake(const std::string& more = {}) {
  return "destinations:\n- {name: one, type: fake, endpoint: \"https://a.example\", api_key: k" +
         more + "}\n";
}

Texts errors_of(const std::string& text) {
  Texts errors;
  for (const ConfigProblem& error : check(text).errors) {
    errors.push_back(problem_line("acme.yaml", error));
  }
  return errors;
}

TEST(TenantFile, DestinationsAreNamedAfterTheFileAndGetItsAccounts) {
  const TenantReport report = check("accounts: [acme, acme-eu]\n" + fake());
  ASSERT_TRUE(report.file) << report.errors.front().message;
  ASSERT_EQ(report.file->destinations.size(), 1U);
  const DestinationConfig& destination = report.file->destinations.front();
  EXPECT_EQ(destination.name, "acme/one");
  EXPECT_EQ(destination.accounts, (Texts{"acme", "acme-eu"}));
  EXPECT_TRUE(destination.is_tenants);
  EXPECT_EQ(check("account: acme\n" + fake()).file->destinations.front().accounts, Texts{"acme"});
}

TEST(TenantFile, ADestinationMayNarrowItsAccountsAndNeverWidenThem) {
  const std::string two = "accounts: [acme, acme-eu]\n";
  EXPECT_EQ(check(two + fake(", accounts: [acme-eu]")).file->destinations.front().accounts,
            Texts{"acme-eu"});
  EXPECT_EQ(
      errors_of(two + fake(", accounts: [acme-eu, globex]")),
      Texts{"acme.yaml:3:70: 'accounts' of destination 'one' may only be some of its file's"});
}

TEST(TenantFile, WithoutAccountsItIsRefused) {
  const Texts none = errors_of(fake());
  ASSERT_EQ(none.size(), 1U);
  EXPECT_NE(none.front().find("needs an 'account'"), std::string::npos) << none.front();
  EXPECT_EQ(errors_of("accounts: []\n" + fake()).size(), 1U);
  EXPECT_EQ(errors_of("accounts: [\"*\"]\n" + fake()).size(), 1U);
  EXPECT_EQ(errors_of("account: \"\"\n" + fake()).size(), 1U);
  EXPECT_EQ(errors_of("account: a\naccounts: [b]\n" + fake()).size(), 1U);
}

TEST(TenantFile, HostileFileReachesNothingOfTheOperators) {
  const Texts references = errors_of(
      "account: acme\n" + fake(", project: \"${env:HOME}\", second_key: \"${file:/etc/passwd}\""));
  ASSERT_EQ(references.size(), 2U);
  EXPECT_NE(references.front().find("${...} is not for tenants' files"), std::string::npos);
  EXPECT_EQ(errors_of("account: acme\n" + fake(", ca_file: /etc/shadow")).size(), 1U);
  EXPECT_EQ(errors_of("account: acme\nring_dir: /tmp\n" + fake()).size(), 1U);
  EXPECT_EQ(errors_of("account: acme\ndestinations_dir: /tmp\n" + fake()).size(), 1U);
  EXPECT_EQ(errors_of("- account\n").size(), 1U);
  EXPECT_EQ(errors_of("{{{").size(), 1U);
}

TEST(TenantFile, ItHoldsNoMoreConnectionsAndForNoLongerThanATenantMay) {
  EXPECT_TRUE(errors_of("account: acme\n" + fake(", connections: 16, timeout: 60s")).empty());
  EXPECT_EQ(errors_of("account: acme\n" + fake(", connections: 17")),
            Texts{"acme.yaml:3:70: 'connections' of a tenant's destination is at most 16"});
  EXPECT_EQ(errors_of("account: acme\n" + fake(", timeout: 10m")),
            Texts{"acme.yaml:3:70: 'timeout' of a tenant's destination is at most 60s"});
}

class Tenants : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    const std::string draft = directory_.file("draft");
    std::ofstream(draft) << text;
    std::filesystem::rename(draft, directory_.file(name));
  }
  static std::string otlp(const std::string& account) {
    return "account: " + account +
           "\ndestinations: [{name: one, type: otlp, endpoint: \"https://a.example\"}]\n";
  }
  bool scan() {
    const auto changed = tenants_.scan(directory_.path());
    EXPECT_TRUE(changed) << changed.error().message();
    return changed && *changed;
  }
  Texts accounts() const {
    Texts accounts;
    for (const TenantFilePtr& file : tenants_.files()) accounts.push_back(file->accounts.front());
    return accounts;
  }

  test::TempDir directory_;
  TenantDirectory tenants_;
};

TEST_F(Tenants, FilesComeChangeAndGo) {
  write("acme.yaml", otlp("acme"));
  write("globex.yaml", otlp("globex"));
  write(".hidden.yaml", otlp("hidden"));
  write("notes.txt", "no destination");
  EXPECT_TRUE(scan());
  EXPECT_EQ(accounts(), (Texts{"acme", "globex"}));
  write("acme.yaml", otlp("acme-two"));
  EXPECT_TRUE(scan());
  EXPECT_EQ(accounts(), (Texts{"acme-two", "globex"}));
  std::filesystem::remove(directory_.file("globex.yaml"));
  EXPECT_TRUE(scan());
  EXPECT_EQ(accounts(), Texts{"acme-two"});
}

TEST_F(Tenants, WhatHasNotChangedIsNotReadAgain) {
  write("acme.yaml", otlp("acme"));
  while (scan()) std::this_thread::sleep_for(std::chrono::milliseconds(20));  // until it is settled
  const TenantFilePtr first = tenants_.files().front();
  EXPECT_FALSE(scan());
  EXPECT_EQ(tenants_.files().front(), first);
}

TEST_F(Tenants, BadFileIsLeftAsItWasAndTheOthersGoOn) {
  write("acme.yaml", otlp("acme"));
  static_cast<void>(scan());
  write("acme.yaml", "account: stolen\ndestinatoins: []\n");
  write("globex.yaml", otlp("globex"));
  write("new.yaml", "account: [");
  static_cast<void>(scan());
  EXPECT_EQ(accounts(), (Texts{"acme", "globex"}));
  ASSERT_EQ(tenants_.problems().size(), 2U);
  EXPECT_TRUE(tenants_.problems().front().starts_with(directory_.file("acme.yaml") + ":2:1: "));
  EXPECT_EQ(tenants_.take_news().bad.size(), 2U);
  static_cast<void>(scan());
  EXPECT_TRUE(tenants_.take_news().bad.empty()) << "said once";
  write("acme.yaml", otlp("acme-mended"));
  static_cast<void>(scan());
  EXPECT_EQ(accounts(), (Texts{"acme-mended", "globex"}));
  EXPECT_EQ(tenants_.take_news().mended, Texts{directory_.file("acme.yaml")});
}

TEST_F(Tenants, FileThatAnybodyMayWriteToIsNotTrusted) {
  write("acme.yaml", otlp("acme"));
  std::filesystem::permissions(directory_.file("acme.yaml"), std::filesystem::perms::others_write,
                               std::filesystem::perm_options::add);
  static_cast<void>(scan());
  EXPECT_TRUE(tenants_.files().empty());
  EXPECT_EQ(tenants_.problems().size(), 1U);
}

TEST_F(Tenants, UnreadableDirectoryIsNoRemovalOfAll) {
  write("acme.yaml", otlp("acme"));
  static_cast<void>(scan());
  EXPECT_FALSE(tenants_.scan(directory_.file("nowhere")));
  EXPECT_EQ(accounts(), Texts{"acme"});
}

TEST_F(Tenants, NamesAreUniqueOverAllFiles) {
  std::ofstream(directory_.file("main.yml"))
      << "destinations_dir: " << directory_.path()
      << "\ndestinations: [{name: acme/one, type: otlp, endpoint: \"https://op.example\"}]\n";
  write("acme.yaml", otlp("acme"));
  write("globex.yaml", otlp("globex"));
  ConfigLoader loader(directory_.file("main.yml"));
  const auto loaded = loader.load();
  ASSERT_TRUE(loaded) << loaded.error().message();
  ASSERT_EQ(loaded->destinations.size(), 2U);
  EXPECT_FALSE(loaded->destinations[0]->is_tenants);
  EXPECT_EQ(loaded->destinations[1]->name, "globex/one");
  ASSERT_EQ(loader.tenant_problems().size(), 1U);
  EXPECT_NE(loader.tenant_problems().front().find("acme/one"), std::string::npos);
}

TEST_F(Tenants, OtherEgressReachesAFileThatIsBadByNowAndItStaysAsItWas) {
  const auto write_main = [this](const std::string& more) {
    std::ofstream(directory_.file("main.yml")) << "destinations_dir: " << directory_.path() << "\n"
                                               << more;
  };
  write_main({});
  write("acme.yaml", otlp("acme"));
  ConfigLoader loader(directory_.file("main.yml"));
  const auto before = loader.load();
  ASSERT_TRUE(before) << before.error().message();
  ASSERT_EQ(before->destinations.size(), 1U);
  EXPECT_EQ(before->destinations.front()->egress_allowed, nullptr);
  write("acme.yaml", "account: [");
  write_main("egress: {allow: [10.0.0.0/8]}\n");
  const auto after = loader.load();
  ASSERT_TRUE(after) << after.error().message();
  ASSERT_EQ(after->destinations.size(), 1U);
  EXPECT_EQ(after->destinations.front()->name, "acme/one");
  EXPECT_NE(after->destinations.front()->egress_allowed, nullptr);
  EXPECT_EQ(loader.tenant_problems().size(), 1U);
}

}  // namespace
}  // namespace sidecast
