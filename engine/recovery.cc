#include "engine/recovery.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/base/log.h"
#include "engine/spool/spooler.h"

namespace sidecast {
namespace {

// No thread runs yet.
constexpr auto kRelaxed = std::memory_order_relaxed;

using PartKey = std::pair<PlannedGroupPtr, std::uint64_t>;  // group, destinations

bool same_record(const ledger::Suspect& suspect, const ledger::InHand& in_hand) {
  return suspect.ring == in_hand.ring && suspect.lane == in_hand.lane &&
         suspect.sequence == in_hand.sequence;
}

}  // namespace

std::vector<ledger::Suspect> find_poison(Ledger& ledger) {
  auto& suspects = ledger.header().suspects;
  for (auto& worker : ledger.header().workers) {
    ledger::InHand& in_hand = worker.in_hand;
    const std::uint32_t state = in_hand.state.exchange(ledger::kNothingInHand);
    if (state == ledger::kNothingInHand) continue;
    auto* known = std::find_if(suspects.begin(), suspects.end(), [&](const auto& suspect) {
      return suspect.weight > 0 && same_record(suspect, in_hand);
    });
    if (known == suspects.end()) {
      // The least suspect makes room.
      known = std::min_element(suspects.begin(), suspects.end(),
                               [](const auto& a, const auto& b) { return a.weight < b.weight; });
      *known = {
          .ring = in_hand.ring, .sequence = in_hand.sequence, .lane = in_hand.lane, .weight = 0};
    }
    const bool crashed = state == ledger::kCrashedInHand;
    known->weight += crashed ? ledger::kCrashWeight : ledger::kKillWeight;
    log_warning("the last engine {} with record {} of lane {} in hand{}",
                crashed ? "crashed" : "was killed", known->sequence, known->lane,
                known->weight >= ledger::kPoisonWeight ? "; it is set aside as poison" : "");
  }
  std::vector<ledger::Suspect> poison;
  std::copy_if(suspects.begin(), suspects.end(), std::back_inserter(poison),
               [](const auto& suspect) { return suspect.weight >= ledger::kPoisonWeight; });
  return poison;
}

void drop_damaged(const std::vector<std::unique_ptr<stage::Segment>>& segments, Ledger& ledger,
                  stage::RedoLog& redo, stage::Stage& stage) {
  std::vector<std::uint64_t> pending(ledger.destination_count());
  for (const auto& segment : segments) {
    for (std::uint64_t offset = 0; offset < segment->head();) {
      const stage::Entry* const entry = segment->entry_at(offset);
      offset += entry->size_bytes;
      const auto& members = ledger.group(entry->group).members;
      const std::uint64_t bits = entry->pending.load(kRelaxed);
      for (std::size_t bit = 0; bit < members.size(); ++bit) {
        if ((bits >> bit & 1U) != 0) ++pending[members[bit]];
      }
    }
  }
  std::uint64_t lost = 0;
  for (std::size_t i = 0; i < pending.size(); ++i) {
    ledger::DestinationSlot& slot = ledger.destination(static_cast<DestinationIndex>(i));
    std::uint64_t routed = slot.adopted.load(kRelaxed);
    for (const ledger::RouteCounters& route : slot.route) routed += route.routed.load(kRelaxed);
    std::uint64_t settled = slot.delivered.load(kRelaxed) + pending[i] +
                            slot.spooled_in.load(kRelaxed) - slot.spooled_out.load(kRelaxed);
    for (const ledger::Counter& counter : slot.rejected) settled += counter.load(kRelaxed);
    for (const ledger::Counter& counter : slot.dropped) settled += counter.load(kRelaxed);
    for (const ledger::Counter& counter : slot.spool_dropped) settled += counter.load(kRelaxed);
    if (routed <= settled) continue;
    auto& damaged = slot.dropped[static_cast<std::size_t>(ledger::DropReason::kDamaged)];
    redo.set_counter(ledger, damaged, damaged.load(kRelaxed) + routed - settled);
    redo.commit();
    lost += routed - settled;
  }
  if (stage.damaged().empty()) {
    if (lost == 0) return;
    log_error(
        "{} staged records are gone and counted as dropped(damaged): a file of the stage was "
        "removed "
        "or changed from outside",
        lost);
    return;
  }
  if (lost == 0) {
    log_error(
        "{} segments of the stage are set aside as *.damaged: {}; the destinations' counters know "
        "nothing of the records in them, so no count says how many are lost",
        stage.damaged().size(), stage.damaged().front().reason);
    stage.set_damaged_aside();
    return;
  }
  log_error(
      "{} segments of the stage are set aside as *.damaged, {} records in them are "
      "dropped(damaged), the rest goes on: {}",
      stage.damaged().size(), lost, stage.damaged().front().reason);
  stage.set_damaged_aside();
}

void reconcile_rings(const std::vector<std::shared_ptr<shm::Ring>>& rings,
                     const std::vector<shm::QuarantinedRing>& quarantined, Ledger& ledger,
                     stage::RedoLog& redo) {
  ledger::LedgerHeader& header = ledger.header();
  std::uint64_t read = 0;
  for (const ledger::WorkerBlock& worker : header.workers) read += worker.read.load(kRelaxed);
  std::uint64_t known = header.retired.written.load(kRelaxed);
  for (const auto& ring : rings) {
    for (std::uint32_t lane = 0; lane < ring->info().lanes; ++lane) {
      known += ring->released(lane).sequence;
    }
  }
  if (read == known) return;
  if (read == 0) {
    log_info("the ledger is younger than its rings: {} records were read before it", known);
  } else if (read > known && !quarantined.empty()) {
    log_warning("{} records were read from rings that turned hostile since", read - known);
  } else {
    log_error(
        "rings and ledger differ by {} records that were read: a ring is gone, or this is a bug",
        static_cast<std::int64_t>(read - known));
    header.ledger_mismatches.fetch_add(1, kRelaxed);
  }
  // May wrap: what the rings count in addition brings it back.
  redo.set_counter(ledger, header.retired.written,
                   header.retired.written.load(kRelaxed) + read - known);
  redo.commit();
}

Recovery sort_entries(std::vector<std::unique_ptr<stage::Segment>> segments, const Plan& plan,
                      const Ledger& ledger, stage::Stage& stage, std::size_t worker_count,
                      bool has_spooler) {
  Recovery recovery;
  recovery.workers.resize(worker_count);
  std::vector<std::map<PartKey, std::vector<stage::EntryRef>>> parts(worker_count);
  std::map<GroupIndex, std::vector<PlannedGroupPtr>> takers;
  for (auto& segment : segments) {
    const std::size_t worker = segment->key().worker % worker_count;
    for (std::uint64_t offset = 0; offset < segment->head();) {
      stage::Entry* const entry = segment->entry_at(offset);
      offset += entry->size_bytes;  // Segment::open() has checked that all are whole
      // relaxed: no thread runs yet.
      const std::uint64_t pending = entry->pending.load(std::memory_order_relaxed);
      if (pending == 0) continue;
      stage.staged(*segment);
      const stage::EntryRef ref{segment.get(), entry};
      const auto [known, is_new] = takers.try_emplace(entry->group);
      if (is_new) known->second = takers_of(plan, ledger, entry->group);
      std::uint64_t rest = pending;
      for (const PlannedGroupPtr& group : known->second) {
        const std::uint64_t wanted = pending & group->mask;
        if (wanted == 0) continue;
        parts[worker][{group, wanted}].push_back(ref);
        rest &= ~wanted;
      }
      if (rest != pending) ++recovery.entries;
      const auto& members = ledger.group(entry->group).members;
      for (std::uint8_t bit = 0; bit < ledger::kGroupMembersMax; ++bit) {
        if ((rest >> bit & 1U) != 0) {
          recovery.held.push_back({.entry = ref, .destination = members[bit], .bit = bit});
        }
      }
    }
    const bool is_spoolers = has_spooler && spool::is_read_back(segment->key());
    auto& segments_of_its = is_spoolers ? recovery.read_back : recovery.workers[worker].segments;
    segments_of_its.push_back(std::move(segment));
  }
  for (std::size_t i = 0; i < worker_count; ++i) {
    for (auto& [key, entries] : parts[i]) {
      recovery.workers[i].parts.push_back(
          {.group = key.first, .destinations = key.second, .entries = std::move(entries)});
    }
  }
  return recovery;
}

}  // namespace sidecast
