// The spooler's shortcut: what was read back and is not settled still stands on disk, so it goes
// back there by having its frame wait again. Nothing is written, nothing makes room for it, and it
// keeps its age. For that, what an earlier engine had read back is found in the stage again.
#include <algorithm>
#include <bit>
#include <map>
#include <tuple>
#include <utility>

#include "engine/base/assert.h"
#include "engine/base/log.h"
#include "engine/spool/spooler.h"

namespace sidecast::spool {
namespace {

// What tells a record of one destination from all others: its ring, lane, number there, and that.
using RecordKey =
    std::tuple<std::array<unsigned char, 16>, std::uint32_t, std::uint64_t, DestinationIndex>;
// Null: there are two of them, and nobody can tell which is which.
using StagedRecords = std::map<RecordKey, stage::EntryRef>;

void add_staged(stage::Segment& segment, const Ledger& ledger, StagedRecords& staged) {
  for (std::uint64_t offset = 0; offset < segment.head();) {
    stage::Entry* const entry = segment.entry_at(offset);
    offset += entry->size_bytes;
    // acquire: as in collect().
    const std::uint64_t pending = entry->pending.load(std::memory_order_acquire);
    const auto& members = ledger.group(entry->group).members;
    for (std::size_t bit = 0; bit < members.size(); ++bit) {
      if ((pending >> bit & 1U) == 0) continue;
      const RecordKey key{entry->ring, entry->lane, entry->sequence, members[bit]};
      const auto [at, is_new] = staged.try_emplace(key, stage::EntryRef{&segment, entry});
      if (!is_new) at->second = {};
    }
  }
}

}  // namespace

const Spooler::Restaged* Spooler::restaged_with(const stage::EntryRef& ref) const {
  const auto found = restaged_.find(ref.segment);
  if (found == restaged_.end()) return nullptr;
  const auto one =
      std::find_if(found->second.begin(), found->second.end(), [&](const Restaged& candidate) {
        // In the order in which they were staged.
        return candidate.entries.front().entry <= ref.entry &&
               ref.entry <= candidate.entries.back().entry;
      });
  return one == found->second.end() ? nullptr : &*one;
}

bool Spooler::can_go_back(const Restaged& one, const Put& put, std::size_t first) {
  const std::size_t count = one.entries.size();
  if (!one.is_whole || one.settled > 0 || count > put.entries.size() - first) return false;
  if (put.destinations.size() != 1 || put.destinations.front() != one.destination) return false;
  return std::equal(one.entries.begin(), one.entries.end(),
                    put.entries.begin() + static_cast<std::ptrdiff_t>(first),
                    [](const auto& a, const auto& b) { return a.entry == b.entry; });
}

std::optional<Spooler::Part> Spooler::give_back(const Put& put, std::size_t first) {
  const Restaged* const one = restaged_with(put.entries[first]);
  if (one == nullptr || !can_go_back(*one, put, first)) return std::nullopt;
  const Part part{.ref = one->ref,
                  .state = &spool_.state_of(one->ref),
                  .first = first,
                  .count = one->entries.size(),
                  .frame_bits = one->bit,
                  .is_given_back = true};
  spool_.begin_giving_back(one->ref, one->bit);
  // Out of collect()'s sight: once its records are committed they look as if they were settled.
  auto& frames = restaged_.at(put.entries[first].segment);
  giving_back_.push_back(*one);
  frames.erase(frames.begin() + (one - frames.data()));
  return part;
}

void Spooler::end_giving_back(const Part& part, bool is_committed) {
  const auto one =
      std::find_if(giving_back_.begin(), giving_back_.end(), [&](const Restaged& candidate) {
        return candidate.ref == part.ref && candidate.bit == part.frame_bits;
      });
  SIDECAST_ASSERT(one != giving_back_.end());
  spool_.end_giving_back(one->ref, one->bit, is_committed);
  if (is_committed) {
    if (--in_stage_[one->destination] == 0) in_stage_.erase(one->destination);
  } else {
    restaged_[one->entries.front().segment].push_back(std::move(*one));
  }
  giving_back_.erase(one);
}

std::unordered_map<const stage::Entry*, Spooler::Origin> Spooler::origins() const {
  std::unordered_map<const stage::Entry*, Origin> origins;
  for (const auto& [segment, frames] : restaged_) {
    for (const Restaged& one : frames) {
      for (const stage::EntryRef& ref : one.entries) {
        origins[ref.entry] = {.ref = one.ref, .sealed_ns = spool_.sealed_ns(one.ref)};
      }
    }
  }
  return origins;
}

// One frame after the other is done on disk when what is left of it in the stage is settled.
void Spooler::find_adopted() {
  StagedRecords staged;
  for (const stage::StageWriter* const writer : {&writer_, &probes_}) {
    for (const auto& segment : writer->segments()) {
      if (adopted_.contains(segment.get())) add_staged(*segment, *context_.ledger, staged);
    }
  }
  spool_.visit_recovered([&](FrameRef ref, DestinationIndex destination, const Frame* frame) {
    if (frame == nullptr) return false;
    Restaged one{.ref = ref, .bit = spool_.bit_of(ref, destination), .destination = destination};
    for (const FrameRecord& record : frame->records) {
      const stage::EntryFields& fields = record.fields;
      const auto found = staged.find({fields.ring, fields.lane, fields.sequence, destination});
      if (found == staged.end()) continue;
      if (found->second.entry == nullptr) return false;
      one.entries.push_back(found->second);
    }
    if (one.entries.empty()) {
      spool_.settled(ref, one.bit);
      return true;
    }
    const stage::Segment* const segment = one.entries.front().segment;
    const bool is_in_one = std::all_of(one.entries.begin(), one.entries.end(),
                                       [&](const auto& each) { return each.segment == segment; });
    const bool is_in_order =
        std::is_sorted(one.entries.begin(), one.entries.end(),
                       [](const auto& a, const auto& b) { return a.entry < b.entry; });
    if (!is_in_one || !is_in_order) return false;
    one.is_whole = one.entries.size() == frame->records.size();
    ++in_stage_[destination];
    restaged_[segment].push_back(std::move(one));
    return true;
  });
  if (adopted_.empty()) spool_.settle_recovered();
}

}  // namespace sidecast::spool
