// The identities of the README, "What it promises", over one snapshot.
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "engine/ledger/snapshot.h"

namespace sidecast {
namespace {

std::uint64_t sum(const ReasonCounts& counts) {
  return std::accumulate(
      counts.begin(), counts.end(), std::uint64_t{0},
      [](std::uint64_t total, const auto& count) { return total + count.second; });
}

class Checker {
 public:
  void expect_equal(std::string_view what, std::uint64_t left, std::uint64_t right) {
    if (left != right) broken_.push_back(fmt::format("{}: {} is not {}", what, left, right));
  }
  std::vector<std::string> take() { return std::move(broken_); }

 private:
  std::vector<std::string> broken_;
};

}  // namespace

std::vector<std::string> check_identities(const StatsSnapshot& stats) {
  Checker check;
  const RecordStats& r = stats.records;
  check.expect_equal("calls = written + dropped", r.calls,
                     r.written + r.dropped_full + r.dropped_busy + r.dropped_too_large);
  check.expect_equal("written = unread + read", r.written, r.unread + r.read);
  check.expect_equal("read = malformed + oversized + poison + forbidden + unrouted + routable",
                     r.read,
                     r.malformed + r.oversized + r.poison + r.forbidden + r.unrouted + r.routable);
  const auto check_destination = [&check](const DestinationStats& d) {
    check.expect_equal(fmt::format("{}: matched = filtered + sampled_out + routed", d.name),
                       d.matched, d.filtered + d.sampled_out + d.routed);
    check.expect_equal(
        fmt::format("{}: routed = delivered + rejected + dropped + pending + spooled", d.name),
        d.routed, d.delivered + sum(d.rejected) + sum(d.dropped) + d.pending + d.spooled);
  };
  for (const DestinationStats& d : stats.destinations) check_destination(d);
  check_destination(stats.retired);
  return check.take();
}

}  // namespace sidecast
