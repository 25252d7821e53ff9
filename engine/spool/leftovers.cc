#include "engine/spool/leftovers.h"

#include <algorithm>
#include <bit>
#include <map>
#include <optional>
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
  // Of what was read back: it grows no younger, and whole frames may go back to where they were.
  std::optional<Spooler::Origin> origin;
  bool operator<(const Key& other) const {
    const auto place = [](const Key& key) {
      return key.origin ? std::pair(key.origin->ref.sequence, key.origin->ref.ordinal)
                        : std::pair(std::uint64_t{0}, std::uint32_t{0});  // no segment's
    };
    return std::tuple(group, bits, place(*this)) <
           std::tuple(other.group, other.bits, place(other));
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
        origins_(spooler.origins()) {}

  // False: no more.
  bool add(stage::EntryRef ref, std::uint64_t bits) {
    Key key{.group = ref.entry->group, .bits = bits, .origin = {}};
    if (const auto origin = origins_.find(ref.entry); origin != origins_.end()) {
      key.origin = origin->second;
    }
    Open& open = open_[key];
    open.entries.push_back(ref);
    open.bytes += ref.entry->encoded_bytes;
    if (key.origin || (open.entries.size() < kRecordsMax && open.bytes < kBytesMax)) return true;
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
    put.sealed_at = monotonic_now();  // what was read back keeps its own
    const auto answer = spooler_.write(put);
    if (!answer) {
      log_error("what is left stays in the stage: {}", answer.error().message());
      return false;
    }
    if (answer->is_refused) {
      if (!std::exchange(is_refusal_told_, true)) {
        log_warning(
            "the spool is at its limit: what it has no room for stays in the stage, which does not "
            "outlive a reboot; raise spool.limit");
      }
      return true;
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
  std::unordered_map<const stage::Entry*, Spooler::Origin> origins_;
  std::map<Key, Open> open_;
  bool is_refusal_told_ = false;
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
