// Random faults in random order: a real engine, many destinations, and a receiver for each that
// plays a schedule of its own. The receiver is the ground truth: what it answered last to a request
// with a record in it decides that record's fate, and the engine's counters must say the same.
//
//   delivered = records whose last answer takes them        rejected = ... refuses them for good
//   dropped + pending + spooled = all others                and a repeated record is the same span
//
// A refusal that may be about one record of several is only final once the search for it has ended,
// so where something is left, such records may be part of it.
//
// SIDECAST_FAULT_RUNS=5000 plays so many schedules, and half as many with each of two settings,
// about 11 a second; SIDECAST_FAULT_SEED=n repeats one test's.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tests/support/faults.h"
#include "tests/unit/engine/pipeline_fixture.h"
#include "tools/receiver/body.h"
#include "tools/receiver/otlp_decode.h"

namespace sidecast {
namespace {

using test::Fault;
using test::Meaning;
using Random = std::mt19937_64;

std::uint64_t number_from_environment(const char* name, std::uint64_t fallback) {
  const char* const text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kAtOnceMax = 50;
#else
constexpr std::size_t kAtOnceMax = 250;
#endif

std::size_t runs() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr std::uint64_t kDefault = 200;
#else
  constexpr std::uint64_t kDefault = 1000;
#endif
  return number_from_environment("SIDECAST_FAULT_RUNS", kDefault);
}

std::size_t below(Random& random, std::size_t end) {
  return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
}

bool ends_for_now(const Fault& fault) {
  return fault.meaning == Meaning::kWait || fault.meaning == Meaning::kPause;
}

// A few faults, then 200 for ever; or, now and then, one that nothing gets past any more.
struct Schedule {
  std::vector<Fault> faults;
  Fault after{.name = "status 200", .meaning = Meaning::kTaken};

  static Schedule make(Random& random) {
    static const std::vector<Fault> all = test::faults();
    Schedule schedule;
    for (std::size_t left = below(random, 7); left > 0;) {
      const Fault& fault = all[below(random, all.size())];
      // By a rule the request is always read. Without more than one word of refusal in a row most
      // schedules would be refusals.
      if (ends_for_now(fault) || fault.reply.manner == test::ScriptedReply::Manner::kResetUnread ||
          (fault.meaning == Meaning::kRefused && below(random, 4) != 0)) {
        continue;
      }
      schedule.faults.push_back(fault);
      --left;
    }
    while (below(random, 6) == 0) {
      schedule.after = all[below(random, all.size())];
      if (ends_for_now(schedule.after)) return schedule;
      schedule.after = {.name = "status 200", .meaning = Meaning::kTaken};
    }
    return schedule;
  }
  [[nodiscard]] bool has(Meaning meaning) const {
    return std::any_of(faults.begin(), faults.end(),
                       [&](const Fault& fault) { return fault.meaning == meaning; });
  }
  [[nodiscard]] std::string text() const {
    std::string words;
    for (const Fault& fault : faults) words += fault.name + "; ";
    return words + "then " + after.name;
  }
};

class Receiver {
 public:
  struct Truth {
    std::size_t taken = 0;    // by the last answer
    std::size_t refused = 0;  // by the last answer
    std::size_t blamed = 0;   // by the last answer, but perhaps for another record beside them
    std::size_t unlike_repeats = 0;
    std::size_t undecodable = 0;
    std::size_t requests = 0;
    bool is_at_end = false;  // of the schedule
  };

  explicit Receiver(Schedule schedule) : schedule_(std::move(schedule)) {
    server_.set_rule([this](const test::ReceivedRequest& request) {
      const std::scoped_lock lock(mutex_);
      return answer(request);
    });
  }

  [[nodiscard]] Truth truth() const {
    const std::scoped_lock lock(mutex_);
    Truth truth = truth_;
    for (const auto& [id, record] : records_) {
      if (record.fate == Fate::kTaken) ++truth.taken;
      if (record.fate == Fate::kRefused) ++truth.refused;
      if (record.fate == Fate::kBlamed) ++truth.blamed;
    }
    return truth;
  }
  [[nodiscard]] const Schedule& schedule() const { return schedule_; }
  [[nodiscard]] const HttpServer& server() const { return server_; }

 private:
  enum class Fate { kOpen, kTaken, kRefused, kBlamed };
  struct Record {
    std::string bytes;
    Fate fate = Fate::kOpen;
  };

  test::ScriptedReply answer(const test::ReceivedRequest& request) {
    const bool is_at_end = truth_.requests >= schedule_.faults.size();
    const Fault& fault = is_at_end ? schedule_.after : schedule_.faults[truth_.requests];
    ++truth_.requests;
    truth_.is_at_end = is_at_end;
    const std::vector<std::string> ids = note(request);
    const std::size_t taken = test::taken_of(fault, ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      records_[ids[i]].fate = i < taken ? Fate::kTaken : fate_of_untaken(fault);
    }
    return fault.reply;
  }

  static Fate fate_of_untaken(const Fault& fault) {
    const int status = fault.reply.status;
    const bool may_be_searched = status == 400 || status == 413 || status == 422;
    switch (fault.meaning) {
      case Meaning::kRefused:
      case Meaning::kTooLarge:
        return may_be_searched ? Fate::kBlamed : Fate::kRefused;
      case Meaning::kPartly:
        return Fate::kRefused;
      default:
        return Fate::kOpen;
    }
  }

  // Ids of the records in a request, as an independent decoder reads them.
  std::vector<std::string> note(const test::ReceivedRequest& request) {
    constexpr std::size_t kBytesMax = 16U << 20U;
    std::vector<std::string> ids;
    const auto body =
        receiver::decode_body(request.header("content-encoding"), request.body, kBytesMax);
    const bool is_json = request.header("content-type").find("json") != std::string::npos;
    const auto encoding = is_json ? receiver::Encoding::kJson : receiver::Encoding::kProtobuf;
    const auto decoded =
        body ? receiver::decode_export_request(encoding, *body) : tl::unexpected(body.error());
    if (!decoded) {
      ++truth_.undecodable;
      return ids;
    }
    for (const auto& resource : decoded->resource_spans()) {
      for (const auto& scope : resource.scope_spans()) {
        for (const auto& span : scope.spans()) {
          const auto [known, is_new] =
              records_.try_emplace(span.span_id(), Record{span.SerializeAsString()});
          if (!is_new && known->second.bytes != span.SerializeAsString()) ++truth_.unlike_repeats;
          ids.push_back(span.span_id());
        }
      }
    }
    return ids;
  }

  const Schedule schedule_;
  mutable std::mutex mutex_;
  std::map<std::string, Record> records_;
  Truth truth_;
  HttpServer server_;  // last: its threads use the others
};

std::uint64_t sum(const ReasonCounts& counts) {
  std::uint64_t all = 0;
  for (const auto& [name, number] : counts) all += number;
  return all;
}

class FaultSchedules : public Pipeline {
 protected:
  // `timeout`: far above what a busy machine keeps an answer, since the receiver's word is the
  // truth.
  static std::string destination(std::size_t index, const HttpServer& server, Random& random,
                                 std::string_view timeout) {
    static constexpr const char* kEncodings[] = {"otlp_json", "otlp_protobuf"};
    static constexpr const char* kCompressions[] = {"none", "gzip", "zstd"};
    static constexpr std::size_t kBatches[] = {1, 3, 10, 512};
    return fmt::format(
        "  - {{name: d{}, type: otlp, endpoint: \"{}\", encoding: {}, compression: {}, "
        "batch_records_max: {}, connections: {}, timeout: {}}}\n",
        index, server.url(), kEncodings[below(random, 2)], kCompressions[below(random, 3)],
        kBatches[below(random, 4)], 1 + below(random, 4), timeout);
  }

  static bool agrees(const DestinationStats& now, const Receiver::Truth& truth) {
    const std::uint64_t rejected = sum(now.rejected);
    const std::uint64_t left = sum(now.dropped) + now.pending + now.spooled;
    const std::size_t most = truth.refused + truth.blamed;
    return now.delivered == truth.taken && rejected <= most &&
           rejected >= (left == 0 ? most : truth.refused) &&
           now.delivered + rejected + left == now.routed;
  }

  // Whether the engine's numbers have come to where the receiver says they must.
  static bool has_arrived(const DestinationStats& now, const Receiver& receiver) {
    const bool has_ended = now.pending == 0 && now.spooled == 0;
    if (!ends_for_now(receiver.schedule().after)) return has_ended;
    const Receiver::Truth truth = receiver.truth();
    return has_ended || (truth.is_at_end && agrees(now, truth));
  }

  static void expect_truth(const DestinationStats& now, const Receiver& receiver,
                           std::size_t written) {
    const Receiver::Truth truth = receiver.truth();
    SCOPED_TRACE(now.name + ": " + receiver.schedule().text());
    EXPECT_EQ(now.routed, written);
    EXPECT_TRUE(agrees(now, truth))
        << now.delivered << " delivered and " << truth.taken << " taken, " << sum(now.rejected)
        << " rejected and " << truth.refused << " refused, " << truth.blamed << " perhaps, "
        << sum(now.dropped) << " dropped, " << now.pending << " pending, " << now.spooled
        << " spooled";
    EXPECT_EQ(truth.undecodable, 0U);
    // A record that is too large by itself may come again in a smaller form.
    EXPECT_TRUE(truth.unlike_repeats == 0 || receiver.schedule().has(Meaning::kTooLarge));
  }

  struct Setting {
    std::string_view lines;  // of the config
    std::string_view timeout = "4s";
    bool has_spool = false;
  };
  void play(std::size_t count, std::uint64_t seed, const Setting& setting) {
    Random random(seed);
    std::vector<std::unique_ptr<Receiver>> receivers;
    std::string destinations;
    for (std::size_t i = 0; i < count; ++i) {
      receivers.push_back(std::make_unique<Receiver>(Schedule::make(random)));
      destinations += destination(i, receivers.back()->server(), random, setting.timeout);
    }
    const std::size_t records = 1 + below(random, 60);
    const std::string spool =
        setting.has_spool ? fmt::format("spool: {{dir: \"{}\", after: 0s}}\n", spool_.path()) : "";
    auto engine = open(destinations, std::string(setting.lines) + spool, false);
    std::atomic<bool> stop{false};
    std::thread running([&] { static_cast<void>(engine->run(stop)); });
    {
      Gateway gateway(directory_.path());
      gateway.write_many(records);
    }
    const Instant deadline = monotonic_now() + std::chrono::seconds(100);
    const auto have_all_arrived = [&] {
      const auto now = read_stats(directory_.path());
      if (!now || now->destinations.size() != count) return false;
      for (std::size_t i = 0; i < count; ++i) {
        const DestinationStats& each = now->destinations[i];
        if (each.routed != records || !has_arrived(each, *receivers[i])) return false;
      }
      return true;
    };
    while (!have_all_arrived() && monotonic_now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    stop = true;
    running.join();
    engine.reset();
    const StatsSnapshot now = stats();  // the identities hold
    ASSERT_EQ(now.destinations.size(), count);
    for (std::size_t i = 0; i < count; ++i) {
      expect_truth(now.destinations[i], *receivers[i], records);
    }
    if (setting.has_spool && count > 50) {
      EXPECT_GT(spooled_in(now), 0U);
    }
  }

  static std::uint64_t spooled_in(const StatsSnapshot& stats) {
    std::uint64_t spooled = 0;
    for (const DestinationStats& each : stats.destinations) spooled += each.spooled;
    return spooled;
  }

  // As many as there are descriptors for, of which each takes four connections' at most, both ends;
  // and as a machine of two cores answers in time.
  static std::size_t at_once() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return std::clamp<std::size_t>(limit.rlim_cur / 16, 10, kAtOnceMax);
  }

  // They wait most of the time, for an answer that never comes or because they were asked to: so
  // many are played at once.
  void play_all(std::size_t runs, const Setting& setting) {
    const std::uint64_t seed =
        number_from_environment("SIDECAST_FAULT_SEED", std::random_device()());
    for (std::size_t done = 0; done < runs && !HasFailure();) {
      const std::size_t count = std::min(at_once(), runs - done);
      std::printf("%zu schedules, SIDECAST_FAULT_SEED=%llu\n", count,
                  static_cast<unsigned long long>(seed + done));
      std::fflush(stdout);
      directory_.renew();
      spool_.renew();
      play(count, seed + done, setting);
      done += count;
    }
  }

  test::TempDir spool_;
};

TEST_F(FaultSchedules, EndWithTheFateThatTheReceiverSaw) {
  play_all(runs(), {.lines = ""});
}

TEST_F(FaultSchedules, EndWithTheFateThatTheReceiverSawThoughOldBatchesAreGivenUp) {
  // Nobody asks again for what an answer came too late for.
  play_all(runs() / 2, {.lines = "give_up_after: 2s\n", .timeout = "10s"});
}

// Every batch that is not taken at once goes to disk, and comes back to be tried again.
TEST_F(FaultSchedules, EndWithTheFateThatTheReceiverSawThoughBatchesMoveToDiskAndBack) {
  play_all(runs() / 2, {.lines = "", .has_spool = true});
}

}  // namespace
}  // namespace sidecast
