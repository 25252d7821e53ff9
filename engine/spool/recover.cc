// What a spool finds at a start. With the state of a segment, it goes on exactly where the last
// engine ended. Without (a reboot, a power cut, a replay wrote it), the segment's own files say who
// has not got what, and those records are counted in: as adopted, which makes them part of matched
// and routed, and as spooled, so that the sums close. Either way a start never fails for what it
// finds here: what is broken is set aside, and what the ledger knew of it is dropped(damaged). What
// is of another version, or not to be had just now, is left where it is, for who can read it.
#include <algorithm>
#include <bit>
#include <filesystem>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/base/set_aside.h"
#include "engine/base/test_point.h"
#include "engine/spool/spool.h"

namespace sidecast::spool {
namespace {

// No thread runs yet.
std::uint64_t value_of(const ledger::Counter& counter) {
  return counter.load(std::memory_order_relaxed);
}

void set_path_aside(const std::string& path) {
  std::error_code error;
  std::filesystem::rename(path, path + ".damaged", error);
  if (error) std::filesystem::remove(path, error);
}

}  // namespace

struct Spool::Recovery {
  const Slots& known;
  stage::RedoLog& redo;
  Recovered found;
  std::set<std::uint64_t> counted_left;  // ids of segments that were left and have a state
  void note_flaw(const std::string& flaw) {
    if (found.first_flaw.empty()) found.first_flaw = flaw;
  }
  // Nothing: one of them has none.
  [[nodiscard]] std::optional<std::vector<DestinationIndex>> slots_of(const FrameHead& head) const {
    std::vector<DestinationIndex> slots;
    for (const DestinationName& name : head.destinations) {
      const auto slot = known.find(identity_of(name));
      if (slot == known.end()) return std::nullopt;
      slots.push_back(slot->second);
    }
    return slots;
  }
};

std::vector<DestinationName> Spool::named_destinations() const {
  std::map<std::string, DestinationName> named;  // by identity
  const auto paths = files_of(settings_.directory, ".spool");
  if (!paths) return {};
  for (const std::string& path : *paths) {
    const auto file = SegmentFile::open(path, SegmentFile::Access::kRead);
    if (!file) continue;
    const auto scan = (*file)->scan();
    if (!scan) continue;
    for (const SegmentFile::Found& found : scan->frames) {
      for (const DestinationName& name : found.head.destinations) {
        named.try_emplace(std::string(identity_of(name)), name);
      }
    }
  }
  std::vector<DestinationName> names;
  names.reserve(named.size());
  for (const auto& [identity, name] : named) names.push_back(name);
  return names;
}

void Spool::add_frame(Held& held, const SegmentFile::Found& found,
                      const std::vector<DestinationIndex>& slots) {
  const std::uint32_t ordinal = found.head.ordinal;
  if (held.frames.size() <= ordinal) held.frames.resize(ordinal + std::size_t{1});
  held.frames[ordinal] = {.offset = found.offset,
                          .size_bytes = static_cast<std::uint32_t>(found.head.size_bytes),
                          .records = found.head.record_count,
                          .destinations = set_id(slots),
                          .sealed_ns = found.head.sealed_ns};
  held.oldest_ns =
      held.oldest_ns == 0 ? found.head.sealed_ns : std::min(held.oldest_ns, found.head.sealed_ns);
}

void Spool::adopt(Held& held, const SegmentFile::Scan& scan, Recovery& recovery) {
  const auto done = held.file->read_done();
  for (const SegmentFile::Found& found : scan.frames) {
    const std::uint32_t ordinal = found.head.ordinal;
    const auto slots = recovery.slots_of(found.head);
    if (!slots) continue;  // recover_segment() has looked
    add_frame(held, found, *slots);
    // An earlier start came so far before it was killed.
    const bool is_counted = ordinal < held.state->frames();
    const std::uint64_t pending =
        is_counted ? held.state->pending(ordinal) : all_bits(slots->size()) & ~(*done)[ordinal];
    if (pending == 0) continue;
    for (std::size_t bit = 0; bit < slots->size(); ++bit) {
      if ((pending >> bit & 1U) == 0) continue;
      recovery.found.adopted += found.head.record_count;
      ledger::DestinationSlot& slot = ledger_.destination((*slots)[bit]);
      if (is_counted) continue;
      for (ledger::Counter* const counter : {&slot.adopted, &slot.spooled_in}) {
        recovery.redo.set_counter(ledger_, *counter, value_of(*counter) + found.head.record_count);
      }
    }
    if (!is_counted) {
      recovery.redo.set_spooled(*held.state, ordinal, pending);
      recovery.redo.commit();
      SIDECAST_TEST_POINT("spool.adopted");
    }
    enqueue(held, ordinal, pending);
  }
  held.state->end_adopting();
}

void Spool::go_on(Held& held, const SegmentFile::Scan& scan, const Recovery& recovery) {
  const std::uint32_t frames = held.state->frames();
  const auto done = held.file->read_done();
  std::uint64_t committed_end = kFramesAt;
  std::vector<std::uint64_t> known(kFramesMax, 0);
  for (const SegmentFile::Found& found : scan.frames) {
    const std::uint32_t ordinal = found.head.ordinal;
    if (ordinal >= frames) continue;  // its records are the stage's
    committed_end = found.offset + found.head.size_bytes;
    const auto slots = recovery.slots_of(found.head);
    if (!slots) continue;
    add_frame(held, found, *slots);
    const std::uint64_t pending = held.state->pending(ordinal) & all_bits(slots->size());
    known[ordinal] = pending;
    enqueue(held, ordinal, pending);
    const std::uint64_t over = all_bits(slots->size()) & ~pending & ~(*done)[ordinal];
    if (over == 0) continue;
    held.unsettled += static_cast<std::uint64_t>(std::popcount(over));
    recovered_done_.emplace_back(FrameRef{.sequence = held.sequence, .ordinal = ordinal}, over);
  }
  // What the disk lost is nobody's any more; count_lost() counts it.
  for (std::uint32_t i = 0; i < frames; ++i) {
    if (held.state->pending(i) == known[i]) continue;
    held.state->set(i, known[i]);
    held.is_damaged = true;  // a committed frame, at the end perhaps: worth a look
  }
  if (!held.is_damaged) static_cast<void>(held.file->cut(committed_end));
}

void Spool::leave(const std::string& path, const Error& why, Recovery& recovery) {
  ++recovery.found.left;
  if (recovery.found.first_left.empty()) recovery.found.first_left = why.message();
  const auto named = named_segment(path);
  if (!named) return;
  const bool is_counted = states_.contains(named->id) || unreachable_states_.contains(named->id);
  if (is_counted) recovery.counted_left.insert(named->id);
}

void Spool::recover_segment(const std::string& path, Recovery& recovery) {
  const auto named = named_segment(path);
  if (named && named->sequence < std::numeric_limits<std::uint64_t>::max() / 2) {
    next_sequence_ = std::max(next_sequence_, named->sequence + 1);
  }
  SegmentFile::Unusable why{};
  auto file = SegmentFile::open(path, SegmentFile::Access::kChange, &why);
  if (!file && why != SegmentFile::Unusable::kDamaged) {
    leave(path, file.error(), recovery);
    return;
  }
  if (file && unreachable_states_.contains((*file)->id())) {
    leave(path, Error(path + " has a state that cannot be opened"), recovery);
    return;
  }
  const bool is_copy =
      file && std::any_of(segments_.begin(), segments_.end(),
                          [&](const auto& one) { return one.second.file->id() == (*file)->id(); });
  if (is_copy) file = fail(path + " is a copy of another segment");
  std::optional<SegmentFile::Scan> scan;
  if (file) {
    auto scanned = (*file)->scan();
    if (!scanned) {
      leave(path, scanned.error(), recovery);
      return;
    }
    scan = *std::move(scanned);
  }
  if (!file || !scan) {
    recovery.note_flaw(file ? path : file.error().message());
    ++recovery.found.set_aside;
    set_path_aside(path);
    return;
  }
  const bool has_slots =
      std::all_of(scan->frames.begin(), scan->frames.end(),
                  [&](const auto& one) { return recovery.slots_of(one.head).has_value(); });
  if (!has_slots) {
    leave(path,
          Error(path + " names a destination that the ledger has no slot for: it is full, or "
                       "the file could not be read at first"),
          recovery);
    return;
  }
  const std::uint64_t id = (*file)->id();
  SegmentState* state = state_of(id);
  const bool is_foreign = state == nullptr || state->is_adopting();
  if (state == nullptr) {
    auto made = SegmentState::create(state_path(id),
                                     {.epoch = ledger_.header().epoch, .segment_id = id}, true);
    if (!made) {
      leave(path, made.error(), recovery);
      return;
    }
    state = made->get();
    states_.emplace(id, std::move(*made));
  }
  std::uint64_t sequence = (*file)->sequence();
  // Two may have the same: an engine and a tool that did not know of each other wrote them.
  while (segments_.contains(sequence)) sequence = next_sequence_++;
  next_sequence_ = std::max(next_sequence_, sequence + 1);
  Held& held = segments_[sequence];
  held.sequence = sequence;
  held.file = std::move(*file);
  held.state = state;
  // A tail that a power cut tore was never whole; anything else is worth a look.
  held.is_damaged = scan->flaws.size() > (scan->is_torn ? 1 : 0);
  if (!scan->flaws.empty()) recovery.note_flaw(path + " " + scan->flaws.front());
  if (is_foreign) {
    adopt(held, *scan, recovery);
    if (!held.is_damaged) static_cast<void>(held.file->cut(scan->end));
  } else {
    go_on(held, *scan, recovery);
  }
  if (held.is_damaged) ++recovery.found.set_aside;
  if (held.frames.size() < held.state->frames()) held.frames.resize(held.state->frames());
  figures_.bytes += held.file->file_bytes();
  held.file->rest();
  retire_if_done(sequence);
}

// What the counters say is spooled and no segment holds.
void Spool::count_lost(Recovery& recovery) {
  std::unordered_map<DestinationIndex, std::uint64_t> present;
  for (const auto& [destination, queue] : queues_) {
    for (const Waiting& waiting : queue) present[destination] += info(waiting.ref).records;
  }
  for (std::size_t i = 0; i < ledger_.destination_count(); ++i) {
    const auto destination = static_cast<DestinationIndex>(i);
    ledger::DestinationSlot& slot = ledger_.destination(destination);
    const std::uint64_t counted = value_of(slot.spooled_in) - value_of(slot.spooled_out);
    const std::uint64_t there = present[destination];
    if (counted < there) {
      log_error("{}: the spool holds {} records more than the ledger knows; please report this",
                slot.name.data(), there - counted);
      ledger_.header().ledger_mismatches.fetch_add(1, std::memory_order_relaxed);
    }
    if (counted <= there) continue;
    ledger::Counter& damaged =
        slot.spool_dropped[static_cast<std::size_t>(ledger::DropReason::kDamaged)];
    recovery.redo.set_counter(ledger_, damaged, value_of(damaged) + counted - there);
    recovery.redo.set_counter(ledger_, slot.spooled_out,
                              value_of(slot.spooled_out) + counted - there);
    recovery.redo.commit();
    recovery.found.lost += counted - there;
  }
}

Spool::Recovered Spool::recover(const Slots& slots, stage::RedoLog& redo) {
  Recovery recovery{.known = slots, .redo = redo, .found = {}};
  if (std::exchange(is_recovered_, true)) return recovery.found;
  const auto paths = files_of(settings_.directory, ".spool");
  if (!paths) {
    recovery.note_flaw(paths.error().message());
    return recovery.found;
  }
  for (const std::string& path : *paths) recover_segment(path, recovery);
  // Of what is left where it is, nobody can tell whose records it holds: they stay spooled.
  if (recovery.counted_left.empty()) count_lost(recovery);
  // States of segments that are gone. They had to stay until their records were counted.
  for (auto state = states_.begin(); state != states_.end();) {
    const bool is_held = recovery.counted_left.contains(state->first) ||
                         std::any_of(segments_.begin(), segments_.end(), [&](const auto& one) {
                           return one.second.state == state->second.get();
                         });
    if (!is_held) state->second->remove();
    state = is_held ? std::next(state) : states_.erase(state);
  }
  // Done-logs of segments that are gone: a kill between two unlinks.
  if (const auto logs = files_of(settings_.directory, ".done")) {
    for (const std::string& path : *logs) {
      const std::string segment = path.substr(0, path.size() - 5) + ".spool";
      if (access(segment.c_str(), F_OK) != 0) unlink(path.c_str());
    }
  }
  if (const auto drafts = files_of(settings_.directory, kDraftExtension)) {
    for (const std::string& path : *drafts) unlink(path.c_str());
  }
  bound_set_aside(settings_.directory, ".damaged");
  recovery.found.records = figures_.records;
  recovery.found.segments = segments_.size();
  return recovery.found;
}

void Spool::settle_recovered() {
  for (const auto& [ref, bits] : std::exchange(recovered_done_, {})) settled(ref, bits);
}

void Spool::visit_recovered(const RecoveredVisitor& visit) {
  auto recovered = std::exchange(recovered_done_, {});
  for (auto& [ref, bits] : recovered) {
    const auto whole = read(ref);
    const auto frame = whole ? parse(ref, *whole) : Result<Frame>(fail(whole.error()));
    const std::vector<DestinationIndex> slots = destination_sets_[info(ref).destinations];
    std::uint64_t left = bits;
    for (std::size_t bit = 0; bit < slots.size(); ++bit) {
      if ((bits >> bit & 1U) == 0) continue;
      if (visit(ref, slots[bit], frame ? &*frame : nullptr)) left &= ~(std::uint64_t{1} << bit);
    }
    if (left != 0) recovered_done_.emplace_back(ref, left);
  }
}

}  // namespace sidecast::spool
