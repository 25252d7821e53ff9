#include "engine/spool/leftovers.h"

#include <algorithm>
#include <bit>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "engine/base/log.h"

namespace sidecast::spool {
namespace {

// Small enough that a destination with a low limit gets few of them to cut.
constexpr std::size_t kRecordsMax = 512;
constexpr std::uint64_t kBytesMax = 2U << 20U;

struct Key {
  GroupIndex group;
  std::uint64_t bits;
  std::int64_t sealed_ns;  // of what was read back: it grows no younger; 0 = now
  bool operator<(const Key& other) const {
    return std::tie(group, bits, sealed_ns) < std::tie(other.group, other.bits, other.sealed_ns);
  }
};

// Of a destination that is still configured; for the others nobody knows how they were written.
BodyForm form_for(const std::vector<DestinationIndex>& destinations, const Plan& plan) {
  for (const DestinationIndex slot : destinations) {
    const auto found = plan.enabled_by_slot.find(slot);
    if (found == plan.enabled_by_slot.end()) continue;
    const PlannedGroup& group = *plan.destinations[found->second].group;
    if (const auto form = form_of(group.group, false)) return *form;
  }
  return {};
}

class Packer {
 public:
  Packer(Spooler& spooler, const Plan& plan, const Ledger& ledger, const CommitPut& commit,
         Instant deadline)
      : spooler_(spooler),
        plan_(plan),
        ledger_(ledger),
        commit_(commit),
        deadline_(deadline),
        sealed_times_(spooler.sealed_times()) {}

  // False: no more.
  bool add(stage::EntryRef ref, std::uint64_t bits) {
    const auto sealed = sealed_times_.find(ref.entry);
    const Key key{.group = ref.entry->group,
                  .bits = bits,
                  .sealed_ns = sealed == sealed_times_.end() ? 0 : sealed->second};
    Open& open = open_[key];
    open.entries.push_back(ref);
    open.bytes += ref.entry->encoded_bytes;
    if (open.entries.size() < kRecordsMax && open.bytes < kBytesMax) return true;
    return write(key, std::exchange(open, {}));
  }
  void finish() {
    for (auto& [key, open] : open_) {
      if (!open.entries.empty() && !write(key, std::move(open))) return;
    }
  }
  [[nodiscard]] std::uint64_t records() const noexcept { return records_; }

 private:
  struct Open {
    std::vector<stage::EntryRef> entries;
    std::uint64_t bytes = 0;
  };
  bool write(const Key& key, Open open) {
    if (monotonic_now() >= deadline_) return false;
    Spooler::Put put;
    put.bits = key.bits;
    const auto& members = ledger_.group(key.group).members;
    for (std::size_t bit = 0; bit < members.size(); ++bit) {
      if ((key.bits >> bit & 1U) != 0) put.destinations.push_back(members[bit]);
    }
    put.form = form_for(put.destinations, plan_);
    put.entries = std::move(open.entries);
    const auto age = key.sealed_ns == 0
                         ? Nanoseconds(0)
                         : std::max(wall_now() - timestamp_from_ns(key.sealed_ns), Nanoseconds(0));
    put.sealed_at = monotonic_now() - std::chrono::duration_cast<Instant::duration>(age);
    const auto answer = spooler_.write(put);
    if (!answer) {
      log_error("what is left stays in the stage: {}", answer.error().message());
      return false;
    }
    if (answer->is_too_large) {
      log_warning("{} records stay in the stage: one of them is larger than spool.limit",
                  put.entries.size());
      return true;
    }
    if (!commit_(put, answer->parts)) return false;
    spooler_.commit(answer->parts);
    records_ += put.entries.size() * put.destinations.size();
    return true;
  }

  Spooler& spooler_;
  const Plan& plan_;
  const Ledger& ledger_;
  const CommitPut& commit_;
  Instant deadline_;
  std::unordered_map<const stage::Entry*, std::int64_t> sealed_times_;
  std::map<Key, Open> open_;
  std::uint64_t records_ = 0;
};

}  // namespace

std::uint64_t spool_leftovers(std::span<stage::Segment* const> segments, Spooler& spooler,
                              const Plan& plan, const Ledger& ledger, const CommitPut& commit,
                              Instant deadline) {
  Packer packer(spooler, plan, ledger, commit, deadline);
  for (stage::Segment* const segment : segments) {
    for (std::uint64_t offset = 0; offset < segment->head();) {
      stage::Entry* const entry = segment->entry_at(offset);
      offset += entry->size_bytes;
      const std::uint64_t pending = entry->pending.load(std::memory_order_relaxed);
      if (pending != 0 && !packer.add({segment, entry}, pending)) return packer.records();
    }
  }
  packer.finish();
  return packer.records();
}

}  // namespace sidecast::spool
