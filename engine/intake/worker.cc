#include "engine/intake/worker.h"

#include <algorithm>
#include <iterator>

#include "engine/base/log.h"
#include "engine/base/test_point.h"
#include "engine/base/utf8.h"
#include "engine/intake/crash_mark.h"
#include "exporters/write.h"

namespace sidecast {
namespace {

// A lane's turn in a pass, so that a busy lane does not starve the others.
constexpr std::size_t kLaneRecordsMax = 256;
// When to commit: often enough that a ring's room comes back soon, rarely enough that the redo
// record costs little.
constexpr std::uint64_t kCommitRecords = 128;
constexpr std::uint64_t kCommitBytes = 1U << 20U;
// Measured: an engine that spins on the heads makes writes several times dearer.
constexpr std::chrono::milliseconds kSleepMin{1};
constexpr std::chrono::milliseconds kSleepMax{20};
// When nothing at all came for some two seconds: an idle engine is to cost next to nothing.
constexpr std::chrono::milliseconds kSleepSilent{50};
constexpr std::uint64_t kQuietPassesUntilSilent = 100;
constexpr std::chrono::milliseconds kRoomRetry{5};
constexpr std::uint64_t kQuietPassesUntilTrim = 500;  // some ten seconds of nothing
// One huge record must not keep its buffers for ever.
constexpr std::size_t kBufferKeepBytes = 4U << 20U;
constexpr std::size_t kIdentityBytesMax = 1024;
static_assert(kIdentityBytesMax >= kAccountBytesMax);  // an account that matches is staged whole

}  // namespace

Worker::Worker(Context context)
    : context_(std::move(context)),
      writer_(*context_.stage, context_.index),
      batcher_(context_.plan, context_.budget.batch_bytes, *context_.body_bytes_total,
               context_.submit, context_.fates),
      counters_(*context_.ledger),
      block_(context_.ledger->header().workers[context_.index]),
      pen_(context_.tap),
      tallies_(context_.plan->groups.size()),
      plan_(context_.plan.get()) {}

void Worker::adopt(Recovered recovered) {
  writer_.adopt(std::move(recovered.segments));
  for (auto& part : recovered.parts) {
    batcher_.freeze(part.group, std::move(part.entries), part.destinations, monotonic_now());
  }
}

void Worker::stop() {
  stop_.store(true, std::memory_order_relaxed);
  wake_.notify_one();
}

void Worker::add_lane(RingHandlePtr ring, std::uint32_t lane) {
  Message message;
  message.ring = std::move(ring);
  message.lane = lane;
  messages_.enqueue(std::move(message));
}

void Worker::follow(PlanPtr plan, std::unique_ptr<stage::RedoLog> redo) {
  Message message;
  message.plan = std::move(plan);
  message.redo = std::move(redo);
  messages_.enqueue(std::move(message));
}

void Worker::refreeze(PlannedGroupPtr group, std::vector<stage::EntryRef> entries,
                      std::uint64_t destinations, Instant sealed_at, Shrinking shrinking) {
  Message message;
  message.group = std::move(group);
  message.entries = std::move(entries);
  message.destinations = destinations;
  message.sealed_at = sealed_at;
  message.shrinking = shrinking;
  messages_.enqueue(std::move(message));
}

void Worker::run() {
  mark_crashes_of_this_thread(block_.in_hand);
  std::chrono::milliseconds idle = kSleepMin;
  while (!stop_.load(std::memory_order_relaxed)) {
    const bool had_message = take_messages();
    take_plan();
    const bool reading = reading_.load(std::memory_order_relaxed);
    const std::size_t records = reading ? pass() : 0;
    commit();
    // While another worker waits for room, what is open here must not keep it.
    const bool seal_all = !reading || context_.stage->is_short() ||
                          (records == 0 && eager_.load(std::memory_order_relaxed));
    batcher_.seal_due(monotonic_now(), seal_all);
    writer_.collect();
    if (records == 0 && !had_message && batcher_.empty()) {
      // release: pairs with quiet_passes(); what this pass settled or submitted is visible then.
      if (quiet_passes_.fetch_add(1, std::memory_order_release) == kQuietPassesUntilTrim) {
        writer_.trim();
      }
    } else {
      quiet_passes_.store(0, std::memory_order_release);
    }
    if (records >= kLaneRecordsMax) continue;  // at least one lane may hold more
    const bool is_silent =
        quiet_passes_.load(std::memory_order_relaxed) > kQuietPassesUntilSilent;  // ours alone
    idle = records > 0 ? kSleepMin : std::min(idle * 2, is_silent ? kSleepSilent : kSleepMax);
    sleep(idle);
  }
}

void Worker::sleep(std::chrono::milliseconds duration) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, duration, [this] { return stop_.load(std::memory_order_relaxed); });
}

bool Worker::take_messages() {
  Message message;
  bool any = false;
  while (messages_.try_dequeue(message)) {
    any = true;
    if (message.ring != nullptr) {
      const shm::LaneCursor from = message.ring->ring->released(message.lane);
      lanes_joining_.push_back({.ring = std::move(message.ring),
                                .lane = message.lane,
                                .cursor = from,
                                .committed = from});
    } else if (message.plan != nullptr) {
      next_plan_ = std::move(message.plan);
      if (message.redo != nullptr) next_redo_ = std::move(message.redo);
    } else if (message.shrinking.attempt > 0) {
      batcher_.freeze_shrunk(message.group, message.entries.front(), message.destinations,
                             message.shrinking, message.sealed_at);
    } else {
      batcher_.freeze(message.group, std::move(message.entries), message.destinations,
                      message.sealed_at);
    }
    message = Message{};
  }
  return any;
}

// Everything that was counted or staged under the plan so far is committed first.
void Worker::take_plan() {
  if (next_plan_ == nullptr) return;
  commit();
  batcher_.follow(next_plan_, monotonic_now());
  context_.plan = std::move(next_plan_);
  pen_.forget_plan();
  if (next_redo_ != nullptr) context_.redo = std::move(next_redo_);
  tallies_.assign(context_.plan->groups.size(), {});
  // release: pairs with follows(). Whoever sees this plan finds nothing uncommitted of another.
  plan_.store(context_.plan.get(), std::memory_order_release);
}

std::size_t Worker::pass() {
  std::size_t records = 0;
  std::move(lanes_joining_.begin(), lanes_joining_.end(), std::back_inserter(lanes_));
  lanes_joining_.clear();
  for (Lane& lane : lanes_) records += drain_lane(lane);
  if (std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) { return lane.done; })) {
    commit();  // what a lane still has to release goes with it
    std::erase_if(lanes_, [](const Lane& lane) {
      if (lane.done) lane.ring->lanes_open.fetch_sub(1, std::memory_order_release);
      return lane.done;
    });
  }
  return records;
}

std::size_t Worker::drain_lane(Lane& lane) {
  for (std::size_t records = 0; records < kLaneRecordsMax; ++records) {
    if (lane.ring->hostile.load(std::memory_order_relaxed)) {
      lane.done = true;
      return records;
    }
    // Before the look at the lane: empty after "retired" is empty for ever.
    const bool retired = lane.ring->retired.load(std::memory_order_acquire);
    shm::LaneCursor next = lane.cursor;
    switch (lane.ring->ring->peek(lane.lane, next, record_)) {
      case shm::PeekStatus::kRecord:
        break;
      case shm::PeekStatus::kEmpty:
        lane.done = retired;
        return records;
      case shm::PeekStatus::kHostile:
      case shm::PeekStatus::kGone:
        lane.ring->hostile.store(true, std::memory_order_relaxed);
        lane.done = true;
        return records;
    }
    if (!take_record(lane, lane.cursor.sequence)) return records;
    lane.cursor = next;
    ++uncommitted_records_;
    if (uncommitted_records_ >= kCommitRecords || uncommitted_bytes_ >= kCommitBytes) commit();
  }
  return kLaneRecordsMax;
}

bool Worker::is_poison(const Lane& lane, std::uint64_t sequence) const noexcept {
  return std::any_of(context_.poison.begin(), context_.poison.end(), [&](const auto& suspect) {
    return suspect.lane == lane.lane && suspect.sequence == sequence &&
           suspect.ring == lane.ring->ring->info().uuid;
  });
}

bool Worker::take_record(const Lane& lane, std::uint64_t sequence) {
  if (!context_.poison.empty() && is_poison(lane, sequence)) {
    counters_.add(block_.read, 1);
    counters_.add(block_.poison, 1);
    return true;
  }
  // Marked before it is decoded: if this record kills us, the next engine knows which it was.
  block_.in_hand.ring = lane.ring->ring->info().uuid;
  block_.in_hand.lane = lane.lane;
  block_.in_hand.sequence = sequence;
  block_.in_hand.state.store(ledger::kInHand, std::memory_order_release);
  SIDECAST_TEST_POINT("worker.decode");
  arena_.reset();
  bool taken = true;
  if (shm::parse_record(record_, view_) != shm::RecordError::kNone) {
    counters_.add(block_.malformed, 1);
  } else {
    const Trace trace = normaliser_.normalise(view_, lane.ring->ring->info().uuid, lane.lane,
                                              context_.normalise, arena_);
    taken = route_and_stage(lane, trace, sequence);
    if (taken && trace.ids_cut > 0) counters_.add(block_.ids_cut, trace.ids_cut);
  }
  block_.in_hand.state.store(ledger::kNothingInHand, std::memory_order_release);
  if (taken) counters_.add(block_.read, 1);
  if (record_.capacity() > kBufferKeepBytes) record_ = std::string();
  encoded_.shrink(kBufferKeepBytes);
  return taken;
}

bool Worker::route_and_stage(const Lane& lane, const Trace& trace, std::uint64_t sequence) {
  const RouteKey key{.account = trace.identity.account,
                     .api_key_id = trace.identity.api_key_id,
                     .api_key_name = trace.identity.api_key_name,
                     .session_id = trace.identity.session_id,
                     .trace_id = trace.trace_id,
                     .region = trace.region,
                     .trace = &trace};
  context_.plan->router.route(key, routed_);
  write_forms(trace);
  // Whatever happens from here on is not this record's doing, least of all a wait for room.
  block_.in_hand.state.store(ledger::kNothingInHand, std::memory_order_release);

  stage::EntryFields fields{
      .trace_id = trace.trace_id,
      .start_ns = unix_ns(trace.start),
      .ring = lane.ring->ring->info().uuid,
      .sequence = sequence,
      .lane = lane.lane,
      .generation_id = utf8_prefix(trace.identity.generation_id, kIdentityBytesMax),
      .api_key_name = utf8_prefix(trace.identity.api_key_name, kIdentityBytesMax),
      .account = utf8_prefix(trace.identity.account, kIdentityBytesMax)};
  std::uint64_t bytes = staged_bytes(fields);
  if (bytes > context_.budget.record_spans_bytes && !shrink_forms(fields, bytes)) {
    counters_.add(context_.ledger->header().oversized[context_.index], 1);
    tell_arrival(lane, trace, sequence, 0, fates::kOversized);
    return true;
  }
  if (!written_.empty() && !has_room(bytes) && !wait_for_room(bytes)) return false;

  // From here on the record is taken.
  tell_arrival(lane, trace, sequence, written_.empty() ? 0 : bytes,
               fields.is_shrunk ? fates::kShrunk : 0);
  counters_.add(routed_.empty() ? block_.unrouted : block_.routable, 1);
  for (const Routed& routed : routed_) tally(routed.group_index, routed.decision);
  for (const Written& form : written_) {
    const PlannedGroup& group = *context_.plan->groups[form.group];
    fields.pending = group.mask;
    fields.group = group.slot;
    fields.span_count = form.span_count;
    const stage::EntryRef entry =
        writer_.append(fields, encoded_.view().substr(form.offset, form.size));
    uncommitted_.emplace_back(form.group, entry);
  }
  uncommitted_bytes_ += bytes;
  SIDECAST_TEST_POINT("worker.staged");
  return true;
}

void Worker::tell_arrival(const Lane& lane, const Trace& trace, std::uint64_t sequence,
                          std::uint64_t span_bytes, std::uint16_t flags) {
  if (pen_.is_watched()) {
    const shm::RingInfo& from = lane.ring->ring->info();
    pen_.show(*context_.plan, routed_, trace,
              {.process = from.process, .pid = from.pid, .lane = lane.lane, .sequence = sequence},
              arena_);
  }
  if (!context_.fates.is_open()) return;
  decisions_.clear();
  for (const Routed& routed : routed_) {
    decisions_.push_back({.group = context_.plan->groups[routed.group_index]->slot,
                          .outcome = static_cast<std::uint32_t>(routed.decision)});
  }
  if (trace.shed.happened) flags |= fates::kShed;
  if (trace.outcome.failed) flags |= fates::kFailed;
  if (trace.outcome.aborted) flags |= fates::kAborted;
  if (trace.is_explicit_span) flags |= fates::kSpan;
  const shm::RingInfo& ring = lane.ring->ring->info();
  context_.fates.record({.ring = &ring.uuid,
                         .lane = lane.lane,
                         .sequence = sequence,
                         .pid = static_cast<std::int32_t>(ring.pid),
                         .process = ring.process,
                         .ended_ns = unix_ns(trace.end),
                         .http_status = trace.outcome.http_status,
                         .flags = flags,
                         .generation_id = trace.identity.generation_id,
                         .account = trace.identity.account,
                         .session_id = trace.identity.session_id,
                         .trace_id_text = trace.settings.trace_id_text,
                         .trace_id = trace.trace_id,
                         .span_bytes = span_bytes},
                        decisions_);
}

void Worker::write_forms(const Trace& trace) {
  encoded_.clear();
  written_.clear();
  const std::vector<std::size_t>& writes_like = context_.plan->writes_like;
  for (const Routed& routed : routed_) {
    if (routed.decision != Decision::kRouted) continue;
    const auto same = std::find_if(written_.begin(), written_.end(), [&](const Written& form) {
      return writes_like[form.group] == writes_like[routed.group_index];
    });
    if (same != written_.end()) {
      Written again = *same;
      again.group = routed.group_index;
      written_.push_back(again);
      continue;
    }
    const Group& group = context_.plan->groups[routed.group_index]->group;
    Written form{.group = routed.group_index, .offset = encoded_.size()};
    form.span_count = write_record(trace, group.format,
                                   {.enabled = group.privacy_mode, .keep = &group.privacy_keep},
                                   arena_, encoded_);
    form.size = encoded_.size() - form.offset;
    written_.push_back(form);
  }
}

std::uint64_t Worker::staged_bytes(const stage::EntryFields& fields) const {
  std::uint64_t bytes = 0;
  for (const Written& form : written_) {
    bytes += stage::Segment::entry_bytes(fields, encoded_.view().substr(form.offset, form.size));
  }
  return bytes;
}

bool Worker::shrink_forms(stage::EntryFields& fields, std::uint64_t& bytes) {
  // relaxed: nothing depends on it.
  if (!context_.oversized_said->exchange(true, std::memory_order_relaxed)) {
    log_warning(
        "a record's spans take {} bytes, more than memory_limit leaves for one ({}): the content "
        "of such records is shortened; raise memory_limit to keep it whole",
        bytes, context_.budget.record_spans_bytes);
  }
  // Beside its spans an entry has texts of its own.
  const std::uint64_t share = context_.budget.record_spans_bytes / written_.size();
  const std::uint64_t beside = stage::Segment::entry_bytes(fields, {});
  if (share <= beside) return false;
  const std::vector<std::size_t>& writes_like = context_.plan->writes_like;
  ByteBuffer smaller;
  for (std::size_t i = 0; i < written_.size(); ++i) {
    Written& form = written_[i];
    const auto same = std::find_if(
        written_.begin(), written_.begin() + static_cast<std::ptrdiff_t>(i),
        [&](const Written& other) { return writes_like[other.group] == writes_like[form.group]; });
    if (same != written_.begin() + static_cast<std::ptrdiff_t>(i)) {
      form.offset = same->offset;
      form.size = same->size;
      continue;
    }
    const Encoder& encoder = *context_.plan->groups[form.group]->group.format.encoder;
    const Bytes whole = encoded_.view().substr(form.offset, form.size);
    const std::size_t start = smaller.size();
    const bool fits = whole.size() <= share - beside;
    if (fits || encoder.shrink == nullptr || !encoder.shrink(whole, share - beside, smaller)) {
      smaller.append(whole);
    }
    form.offset = start;
    form.size = smaller.size() - start;
  }
  encoded_ = std::move(smaller);
  fields.is_shrunk = true;
  bytes = staged_bytes(fields);
  return bytes <= context_.budget.record_spans_bytes;
}

bool Worker::has_room(std::uint64_t bytes) {
  if (!writer_.reserve(bytes)) return false;
  // relaxed: a figure.
  return context_.body_bytes_total->load(std::memory_order_relaxed) <= context_.budget.body_bytes;
}

bool Worker::wait_for_room(std::uint64_t bytes) {
  while (!stop_.load(std::memory_order_relaxed) && reading_.load(std::memory_order_relaxed)) {
    commit();
    // What came back to be frozen again holds room, and only as a batch can it be sent or dropped.
    static_cast<void>(take_messages());
    if (next_plan_ != nullptr) break;  // routed by a plan that is over: it is read again
    if (context_.stage->is_short()) batcher_.seal_due(monotonic_now(), true);
    writer_.collect();
    if (has_room(bytes)) return true;
    const bool urgent = rings_fill_up();
    // Bodies are no more than the stage holds: rather these beyond their share than a full ring.
    if (urgent && writer_.reserve(bytes)) return true;
    context_.relieve(urgent);
    sleep(kRoomRetry);
  }
  writer_.forgo();
  return false;
}

bool Worker::rings_fill_up() const noexcept {
  // Lane 0 has half of a ring: it is three quarters full, if large records come.
  return std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) {
    return lane.ring->ring->counters().used_bytes * 8 > lane.ring->ring->info().capacity_bytes * 3;
  });
}

void Worker::tally(std::size_t group, Decision decision) {
  auto& tally = tallies_[group];
  if (tally[0] + tally[1] + tally[2] == 0) tallied_.push_back(group);
  ++tally[static_cast<std::size_t>(decision)];
}

void Worker::commit() {
  for (const std::size_t group : tallied_) {
    auto& tally = tallies_[group];
    for (const PlannedMember& member : context_.plan->groups[group]->members) {
      auto& route = context_.ledger->destination(member.destination).route[context_.index];
      counters_.add(route.matched, tally[0] + tally[1] + tally[2]);
      counters_.add(route.filtered, tally[static_cast<std::size_t>(Decision::kFiltered)]);
      counters_.add(route.sampled_out, tally[static_cast<std::size_t>(Decision::kSampledOut)]);
      counters_.add(route.routed, tally[static_cast<std::size_t>(Decision::kRouted)]);
    }
    tally = {};
  }
  tallied_.clear();

  stage::RedoLog& redo = *context_.redo;
  counters_.note(redo);
  writer_.note_heads(redo);
  for (Lane& lane : lanes_) {
    if (lane.cursor.position == lane.committed.position) continue;
    redo.release(*lane.ring->ring, lane.lane, lane.cursor);
    lane.committed = lane.cursor;
  }
  redo.commit();
  SIDECAST_TEST_POINT("worker.committed");

  const Instant now = monotonic_now();
  for (const auto& [group, entry] : uncommitted_) batcher_.add(group, entry, now);
  uncommitted_.clear();
  uncommitted_bytes_ = 0;
  uncommitted_records_ = 0;
}

}  // namespace sidecast
