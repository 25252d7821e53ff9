// One fault at a time, all of them at once: a real engine with a destination for each, and for each
// the right verdict, the right counters and an exact ledger.
#include "tests/support/faults.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/engine/pipeline_fixture.h"

namespace sidecast {
namespace {

using test::Fault;
using test::Meaning;

constexpr std::size_t kRecords = 5;  // of one batch
constexpr std::string_view kImpatient = ", timeout: 1s";

class Faults : public Pipeline {
 protected:
  // Plays kRecords to all destinations until every one of them is where it is expected.
  template <typename Condition>
  StatsSnapshot play(const std::string& destinations, const Condition& is_there) {
    // Before the engine, so that each destination gets one batch.
    EXPECT_TRUE(drain(destinations));
    Gateway gateway(directory_.path());
    gateway.write_many(kRecords);
    auto engine = open(destinations, {}, false);
    std::atomic<bool> stop{false};
    std::thread running([&] { static_cast<void>(engine->run(stop)); });
    const Instant deadline = monotonic_now() + std::chrono::seconds(60);
    const auto are_all_there = [&] {
      const auto now = read_stats(directory_.path());
      return now && std::all_of(now->destinations.begin(), now->destinations.end(), is_there);
    };
    while (!are_all_there() && monotonic_now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    StatsSnapshot reached = std::move(*read_stats(directory_.path()));
    stop = true;
    running.join();
    engine.reset();
    static_cast<void>(stats());  // the identities hold
    return reached;
  }
  static std::uint64_t sum(const ReasonCounts& counts) {
    std::uint64_t all = 0;
    for (const auto& [name, number] : counts) all += number;
    return all;
  }
};

bool is_to_be_kept(Meaning meaning) {
  return meaning == Meaning::kWait || meaning == Meaning::kPause;
}

std::string state_after(Meaning meaning) {
  if (meaning == Meaning::kWait) return "backing off";
  return meaning == Meaning::kPause ? "paused" : "ok";
}

std::size_t requests_after(Meaning meaning) {
  if (meaning == Meaning::kRetry) return 2;
  return meaning == Meaning::kTooLarge ? 3 : 1;  // its halves are taken
}

TEST_F(Faults, EachHasItsVerdictItsCountersAndAnExactLedger) {
  const std::vector<Fault> all = test::faults();
  std::vector<std::unique_ptr<HttpServer>> servers;
  std::map<std::string, const Fault*> by_name;
  std::string destinations;
  for (const Fault& fault : all) {
    servers.push_back(std::make_unique<HttpServer>());
    const std::string name = fmt::format("d{}", servers.size());
    by_name[name] = &fault;
    destinations += otlp(name, *servers.back(), kImpatient);
  }
  for (std::size_t i = 0; i < all.size(); ++i) servers[i]->script({all[i].reply});
  const StatsSnapshot reached = play(destinations, [&](const DestinationStats& now) {
    const Meaning meaning = by_name.at(now.name)->meaning;
    return now.routed == kRecords && now.state == state_after(meaning) &&
           (is_to_be_kept(meaning) || now.pending == 0);
  });

  ASSERT_EQ(reached.destinations.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Fault& fault = all[i];
    const DestinationStats& now = reached.destinations[i];
    SCOPED_TRACE(fault.name);
    const bool is_final = fault.meaning == Meaning::kTaken || fault.meaning == Meaning::kPartly ||
                          fault.meaning == Meaning::kRefused;
    const std::size_t taken = is_final ? taken_of(fault, kRecords) : kRecords;
    const std::size_t kept = is_to_be_kept(fault.meaning) ? kRecords : 0;
    EXPECT_EQ(now.state, state_after(fault.meaning));
    EXPECT_EQ(now.pending, kept);
    EXPECT_EQ(now.delivered, kept > 0 ? 0 : taken);
    EXPECT_EQ(sum(now.rejected), kept > 0 ? 0 : kRecords - taken);
    EXPECT_EQ(count(now.rejected, "partial"),
              fault.meaning == Meaning::kPartly ? kRecords - taken : 0);
    EXPECT_EQ(count(now.rejected, "rejected"), fault.meaning == Meaning::kRefused ? kRecords : 0);
    EXPECT_EQ(sum(now.dropped), 0U);
    EXPECT_EQ(now.rejected_spans, fault.rejected_spans);
    EXPECT_EQ(now.requests, requests_after(fault.meaning));
    EXPECT_EQ(now.retries, kept > 0 || fault.meaning == Meaning::kRetry ? 1U : 0U);
    EXPECT_EQ(now.last_error.substr(0, fault.told.size()), fault.told);
    EXPECT_EQ(now.last_error.empty(), fault.told.empty()) << now.last_error;
    EXPECT_EQ(now.last_error.find("Oh no"), std::string::npos) << "a server's words";
  }
}

// What never becomes an HTTP exchange is tried again until the give-up age: nothing is refused.
TEST_F(Faults, ReceiverThatCannotBeSpokenToKeepsItsBatches) {
  using test::CertificateFlaw;
  test::TempDir certificates;
  const HttpServer plain;
  const HttpServer sound(test::make_certificate(certificates.path()));
  const HttpServer wrong(test::make_certificate(certificates.path(), CertificateFlaw::kWrongName));
  const HttpServer expired(test::make_certificate(certificates.path(), CertificateFlaw::kExpired));
  const auto trusted = [&](CertificateFlaw flaw) {
    return fmt::format(", ca_file: \"{}/{}-certificate.pem\"", certificates.path(),
                       static_cast<int>(flaw));
  };
  struct Row {
    const char* name;
    std::string endpoint;
    std::string told;
    std::string more;
  };
  const std::vector<Row> rows = {
      {"nobody listens", fmt::format("http://127.0.0.1:{}", test::unused_port()), "connect failed",
       ""},
      {"unknown name", "http://nobody.invalid:4318", "name lookup failed", ""},
      {"untrusted certificate", sound.url(), "TLS failed", ""},
      {"certificate of another name", wrong.url(), "TLS failed",
       trusted(CertificateFlaw::kWrongName)},
      {"expired certificate", expired.url(), "TLS failed", trusted(CertificateFlaw::kExpired)},
      // Each waits for the other's next word.
      {"no TLS where it is expected", fmt::format("https://127.0.0.1:{}", plain.port()),
       "no answer in time", ""},
      {"TLS where it is not expected", fmt::format("http://127.0.0.1:{}", sound.port()), "", ""},
  };
  std::string destinations;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    destinations += fmt::format("  - {{name: d{}, type: otlp, endpoint: \"{}\", timeout: 2s{}}}\n",
                                i, rows[i].endpoint, rows[i].more);
  }
  const StatsSnapshot reached = play(destinations, [](const DestinationStats& now) {
    return now.routed == kRecords && now.state == "backing off";
  });
  ASSERT_EQ(reached.destinations.size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const DestinationStats& now = reached.destinations[i];
    SCOPED_TRACE(rows[i].name);
    EXPECT_EQ(now.state, "backing off");
    EXPECT_EQ(now.pending, kRecords);
    EXPECT_EQ(now.delivered + sum(now.rejected) + sum(now.dropped), 0U);
    EXPECT_GE(now.retries, 1U);
    EXPECT_FALSE(now.last_error.empty());
    EXPECT_EQ(now.last_error.substr(0, rows[i].told.size()), rows[i].told);
  }
  EXPECT_EQ(plain.requests().size(), 0U);
  EXPECT_EQ(sound.requests().size() + wrong.requests().size() + expired.requests().size(), 0U);
}

}  // namespace
}  // namespace sidecast
