#include "engine/fates/explain.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "engine/fates/fate_log.h"
#include "engine/ledger/ledger.h"
#include "engine/ledger/paths.h"
#include "engine/ledger/snapshot.h"
#include "engine/stage/segment.h"

namespace sidecast::fates {
namespace {

// By route.h Decision.
constexpr std::array<const char*, 3> kDecisions = {"filtered", "sampled out", "routed"};
// By exporter.h Verdict::Kind: what it means for the records of the request.
constexpr std::array<const char*, 6> kVerdicts = {
    "accepted",        "accepted but for some spans", "not taken, to be tried again",
    "not taken, kept", "refused for its size",        "refused"};

template <std::size_t Size>
std::string name_in(const std::array<const char*, Size>& names, std::size_t index) {
  return index < Size ? names[index] : "unknown";
}

// Destinations by slot of the ledger.
class Names {
 public:
  Names(const Ledger& ledger, const StatsSnapshot& stats) : ledger_(ledger) {
    for (const DestinationStats& one : stats.destinations) by_slot_.emplace(one.slot, &one);
  }

  // The destination slots of a group's members; empty when there is no such group.
  [[nodiscard]] std::vector<std::uint32_t> members_of(std::uint32_t group) const {
    if (group >= ledger_.group_count()) return {};
    const ledger::GroupSlot& slot = ledger_.group(group);
    const auto count = std::min<std::size_t>(slot.member_count, slot.members.size());
    return {slot.members.begin(), slot.members.begin() + static_cast<std::ptrdiff_t>(count)};
  }
  [[nodiscard]] const DestinationStats* find(std::uint32_t destination) const {
    const auto found = by_slot_.find(destination);
    return found == by_slot_.end() ? nullptr : found->second;
  }
  [[nodiscard]] std::string name_of(std::uint32_t destination) const {
    const DestinationStats* const found = find(destination);
    return found == nullptr ? fmt::format("destination {}", destination) : found->name;
  }
  [[nodiscard]] bool is_enabled(std::uint32_t destination) const {
    const DestinationStats* const found = find(destination);
    return found != nullptr && is_enabled(*found);
  }
  [[nodiscard]] std::size_t enabled_count() const {
    return static_cast<std::size_t>(std::count_if(
        by_slot_.begin(), by_slot_.end(), [](const auto& one) { return is_enabled(*one.second); }));
  }

 private:
  [[nodiscard]] static bool is_enabled(const DestinationStats& stats) {
    return stats.state != "removed" && stats.state != "disabled";
  }

  const Ledger& ledger_;
  std::unordered_map<std::uint32_t, const DestinationStats*> by_slot_;
};

// ---- What waits in the stage --------------------------------------------------------------------

struct Staged {
  std::set<std::uint32_t> pending;  // destinations that must still take it
  RecordEvent record;               // what its entries say of it
};

// Staged records by key that some destination must still take.
template <typename Wanted>
std::map<std::uint64_t, Staged> find_staged(const std::string& directory, const Ledger& ledger,
                                            std::uint64_t seed, const Names& names,
                                            Wanted is_wanted) {
  std::map<std::uint64_t, Staged> found;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(directory, error)) {
    if (file.path().extension() != ".seg") continue;
    const auto segment = stage::Segment::open_read_only(file.path().string());
    if (!segment || (*segment)->epoch() != ledger.header().epoch) continue;
    for (std::uint64_t offset = 0; offset < (*segment)->head();) {
      const stage::Entry* const entry = (*segment)->entry_at(offset);
      if (entry == nullptr) break;  // reused meanwhile
      offset += entry->size_bytes;
      const std::uint64_t bits = entry->pending.load(std::memory_order_relaxed);
      const std::uint64_t key = record_key(entry->ring, entry->lane, entry->sequence, seed);
      if (bits == 0 || !is_wanted(key, *entry)) continue;
      Staged& staged = found[key];
      staged.record.generation_id = entry->generation_id();
      staged.record.account = entry->account();
      staged.record.body.record = key;
      staged.record.body.trace_id = entry->trace_id.bytes;
      staged.record.body.lane = entry->lane;
      staged.record.body.sequence = entry->sequence;
      const std::vector<std::uint32_t> members = names.members_of(entry->group);
      for (std::size_t bit = 0; bit < members.size(); ++bit) {
        if ((bits >> bit & 1U) != 0) staged.pending.insert(members[bit]);
      }
    }
  }
  return found;
}

// ---- One record's story -------------------------------------------------------------------------

// Where a record stands in a batch.
struct Place {
  const BatchEvent* batch;
  std::uint32_t index;
};

std::string bytes_text(std::uint64_t bytes) {
  return bytes < 1024 ? fmt::format("{} bytes", bytes)
                      : fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
}

class Teller {
 public:
  Teller(const History& history, const Names& names, const std::map<std::uint64_t, Staged>& staged)
      : history_(history), names_(names), staged_(staged) {}

  [[nodiscard]] RecordStory tell(const RecordEvent& record) const {
    RecordStory story{.record = record};
    const std::uint64_t key = record.body.record;
    const std::vector<Place> places = places_of(key);
    std::map<std::uint32_t, std::string> decisions;  // by destination
    for (const Decision& decision : record.decisions) {
      for (const std::uint32_t member : names_.members_of(decision.group)) {
        // A member that left keeps its bit, but gets nothing.
        if (names_.is_enabled(member)) decisions[member] = name_in(kDecisions, decision.outcome);
      }
    }
    std::map<std::uint32_t, std::vector<Step>> steps;  // by destination
    for (const Place& place : places) add_steps(place, steps);
    for (const auto& [destination, _] : steps) decisions[destination] = "routed";
    if (const auto found = staged_.find(key); found != staged_.end()) {
      for (const std::uint32_t destination : found->second.pending) {
        decisions[destination] = "routed";
      }
    }
    for (const auto& [destination, decision] : decisions) {
      story.destinations.push_back(
          tell_destination(destination, decision, places, std::move(steps[destination]), key));
    }
    const std::size_t enabled = names_.enabled_count();
    story.destinations_of_others = enabled - std::min(enabled, decisions.size());
    return story;
  }

 private:
  [[nodiscard]] std::vector<Place> places_of(std::uint64_t key) const {
    std::vector<Place> places;
    for (const BatchEvent& batch : history_.batches) {
      const auto found = std::find(batch.keys.begin(), batch.keys.end(), key);
      if (found == batch.keys.end()) continue;
      const auto index = static_cast<std::uint32_t>(found - batch.keys.begin());
      places.push_back({&batch, batch.body.first + index});
    }
    return places;
  }

  void add_steps(const Place& place, std::map<std::uint32_t, std::vector<Step>>& steps) const {
    const auto is_here = [&place](const BatchPart& part) {
      return part.batch == place.batch->body.batch && part.first <= place.index &&
             place.index - part.first < part.count;
    };
    for (const SentBody& sent : history_.sent) {
      if (!is_here(sent.part)) continue;
      steps[sent.part.destination].push_back(
          {sent.part.time_ns, "sent",
           fmt::format("attempt {}, {} in a request of {}", sent.part.number,
                       count_text(sent.part.count), bytes_text(sent.body_bytes))});
    }
    for (const AnsweredEvent& answer : history_.answered) {
      const BatchPart& part = answer.body.part;
      if (!is_here(part)) continue;
      std::string detail = name_in(kVerdicts, answer.body.verdict);
      if (!answer.why.empty()) detail += ": " + answer.why;
      if (answer.body.took_ms > 0) detail += fmt::format(" (after {} ms)", answer.body.took_ms);
      if (answer.body.retry_ms >= 0) {
        detail += fmt::format("; it asks for a wait of {:.1f} s", answer.body.retry_ms / 1000.0);
      }
      steps[part.destination].push_back({part.time_ns, "answered", std::move(detail)});
    }
    for (const SettledBody& settled : history_.settled) {
      if (!is_here(settled.part)) continue;
      steps[settled.part.destination].push_back({settled.part.time_ns, fate_text(settled), {}});
    }
  }

  [[nodiscard]] static std::string count_text(std::uint64_t records) {
    return records == 1 ? "alone" : fmt::format("one of {} records", records);
  }

  [[nodiscard]] static std::string fate_text(const SettledBody& settled) {
    switch (settled.fate) {
      case Fate::kDelivered:
        return "delivered";
      case Fate::kRejected:
        return fmt::format("rejected({})", name_in(ledger::kRejectReasons, settled.reason));
      case Fate::kDropped:
        return fmt::format("dropped({})", name_in(ledger::kDropReasons, settled.reason));
      case Fate::kSpooled:
        return "spooled";
      case Fate::kReadBack:
        return "read back";
    }
    return "unknown";
  }

  [[nodiscard]] DestinationStory tell_destination(std::uint32_t destination,
                                                  const std::string& decision,
                                                  const std::vector<Place>& places,
                                                  std::vector<Step> steps,
                                                  std::uint64_t key) const {
    DestinationStory story{.name = names_.name_of(destination), .decision = decision};
    if (decision != "routed") {
      story.fate = decision;
      story.why = decision == "filtered" ? "its api_keys, regions or filter rules leave it out"
                                         : "its sampling_rate leaves the session out";
      return story;
    }
    for (const Place& place : places) {
      if (!is_member(place.batch->body.group, destination)) continue;
      steps.push_back({place.batch->body.time_ns, "batched", batch_text(place)});
    }
    // Batched comes before sent, however their clocks stand.
    std::stable_sort(steps.begin(), steps.end(),
                     [](const Step& a, const Step& b) { return a.time_ns < b.time_ns; });
    for (const Step& step : steps) {
      const bool is_end = step.what == "delivered" || step.what.starts_with("rejected") ||
                          step.what.starts_with("dropped") || step.what == "spooled";
      if (is_end) story.fate = step.what;
      if (step.what == "read back") story.fate.clear();
      if (step.what == "answered") story.why = step.detail;
    }
    story.steps = std::move(steps);
    if (story.fate == "delivered") story.why.clear();
    // An engine may have died before it said that it was read back.
    if (story.fate == "spooled" && is_staged(key, destination)) story.fate.clear();
    if (story.fate == "spooled") tell_spooled(destination, story);
    if (story.fate.empty()) tell_unsettled(destination, key, story);
    return story;
  }

  [[nodiscard]] bool is_staged(std::uint64_t key, std::uint32_t destination) const {
    const auto found = staged_.find(key);
    return found != staged_.end() && found->second.pending.contains(destination);
  }

  // What is dropped from the spool is counted, but not told of each record.
  void tell_spooled(std::uint32_t destination, DestinationStory& story) const {
    const DestinationStats* const stats = names_.find(destination);
    if (stats != nullptr && stats->spooled == 0) {
      story.fate = "unknown";
      story.why = "it has left the spool, but how is no longer kept";
      return;
    }
    story.why = "it waits on disk, unless it was dropped there: see `sidecast spool ls`";
  }

  void tell_unsettled(std::uint32_t destination, std::uint64_t key, DestinationStory& story) const {
    if (!is_staged(key, destination)) {
      story.fate = "unknown";
      story.why = "it is settled, but how is no longer kept";
      return;
    }
    story.fate = "pending";
    const DestinationStats* const stats = names_.find(destination);
    if (stats == nullptr || stats->state == "ok") {
      story.why = story.steps.empty() ? "waits to be batched" : "waits for its turn or an answer";
      return;
    }
    story.why = "the destination is " + stats->state;
    if (!stats->last_error.empty()) story.why += ": " + stats->last_error;
  }

  [[nodiscard]] bool is_member(std::uint32_t group, std::uint32_t destination) const {
    const std::vector<std::uint32_t> members = names_.members_of(group);
    return std::find(members.begin(), members.end(), destination) != members.end();
  }

  [[nodiscard]] static std::string batch_text(const Place& place) {
    const BatchBody& batch = place.batch->body;
    std::string text =
        fmt::format("{} in a batch of {}", count_text(batch.records), bytes_text(batch.bytes));
    if (batch.shrink_attempt > 0) {
      text += fmt::format(", its content shortened (attempt {})", batch.shrink_attempt);
    }
    return text;
  }

  const History& history_;
  const Names& names_;
  const std::map<std::uint64_t, Staged>& staged_;
};

}  // namespace

Result<Explanation> explain(const std::string& ring_dir, Text id, std::size_t records_max) {
  const EnginePaths paths(ring_dir);
  const auto ledger = Ledger::open_read_only(paths.ledger);
  if (!ledger) {
    return fail(Error(ledger.error())
                    .with(fmt::format("no engine has served {} yet, or its numbers may not be read",
                                      ring_dir)));
  }
  const auto stats = read_stats(ring_dir);
  if (!stats) return fail(stats.error());
  auto history = read_fates(paths.fates);
  if (!history) {
    return fail(Error(history.error())
                    .with("no fates are kept: the engine ran with 'explain: {size: 0}', or had no "
                          "room for them"));
  }
  if (history->ledger_epoch != (*ledger)->header().epoch) {
    return fail("the recent fates belong to another ledger; they are of no use without it");
  }

  const std::uint64_t seed = history->seed;
  const Names names(**ledger, *stats);
  std::unordered_map<std::uint64_t, std::size_t> times_read;
  std::vector<const RecordEvent*> matches;  // newest first, each key once
  for (auto record = history->records.rbegin(); record != history->records.rend(); ++record) {
    if (has_id(*record, id, seed) && ++times_read[record->body.record] == 1) {
      matches.push_back(&*record);
    }
  }
  const auto as_sent = parse_trace_id(id);
  const TraceId hashed = hash_trace_id(id);
  const auto staged = find_staged(
      paths.stage, **ledger, seed, names, [&](std::uint64_t key, const stage::Entry& entry) {
        return times_read.contains(key) || entry.generation_id() == id ||
               (as_sent && entry.trace_id == *as_sent) || entry.trace_id == hashed;
      });

  Explanation explanation{.records_kept = history->records.size(),
                          .reaches_back_ns = history->oldest_ns};
  const Teller teller(*history, names, staged);
  const auto add = [&](const RecordEvent& record, bool is_arrival_known) {
    if (explanation.records.size() == records_max) {
      ++explanation.records_left_out;
      return;
    }
    RecordStory story = teller.tell(record);
    story.is_arrival_known = is_arrival_known;
    story.times_read = is_arrival_known ? times_read[record.body.record] : 1;
    explanation.records.push_back(std::move(story));
  };
  for (const RecordEvent* const record : matches) add(*record, true);
  for (const auto& [key, entry] : staged) {
    if (!times_read.contains(key)) add(entry.record, false);
  }
  return explanation;
}

}  // namespace sidecast::fates
