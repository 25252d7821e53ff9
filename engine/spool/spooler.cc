#include "engine/spool/spooler.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>

#include "engine/base/assert.h"
#include "engine/base/log.h"
#include "engine/base/test_point.h"

namespace sidecast::spool {
namespace {

using ledger::SpoolState;

// They hold staged memory, and each is written in milliseconds.
constexpr std::uint32_t kPutsWaitingMax = 256;
constexpr std::chrono::seconds kFailurePause{5};
constexpr std::chrono::milliseconds kTick{500};
constexpr std::chrono::seconds kOverdueLook{5};
constexpr std::chrono::milliseconds kBusySleep{5};
constexpr std::chrono::milliseconds kIdleSleep{50};
constexpr std::array<int, 2> kWantOfRoom = {ENOSPC, EDQUOT};

// Messages end with what the system said.
bool is_for_want_of_room(const Error& error) {
  return std::any_of(kWantOfRoom.begin(), kWantOfRoom.end(), [&](int number) {
    return error.message().ends_with(std::generic_category().message(number));
  });
}

}  // namespace

Spooler::Spooler(Settings settings, const std::string& state_directory, Context context)
    : context_(std::move(context)),
      spool_(std::move(settings), state_directory, *context_.ledger),
      writer_(*context_.stage, kStageWriter),
      probes_(*context_.stage, kProbeWriter),
      freezer_(
          context_.budget.batch_bytes, *context_.body_bytes_total,
          [this](SealedBatchPtr sealed) {
            context_.post([this, sealed = std::move(sealed)] { context_.restored(sealed); });
          },
          context_.fates) {}

void Spooler::start_after(std::uint64_t stage_sequence) noexcept {
  writer_.start_after(stage_sequence);
  probes_.start_after(stage_sequence);
}

void Spooler::adopt(std::vector<std::unique_ptr<stage::Segment>> segments) {
  for (const auto& segment : segments) adopted_.emplace(segment.get(), segment->file_bytes());
  writer_.adopt(std::move(segments));
}

// ---- Finding what is there ----------------------------------------------------------------------

void Spooler::look() {
  if (Status opened = spool_.open(); !opened) {
    note_failure(opened.error(), monotonic_now());
    return;
  }
  names_ = spool_.named_destinations();
  opening_.store(Opening::kNamed, std::memory_order_release);  // pairs with name_slots()
}

bool Spooler::name_slots() {
  if (opening_.load(std::memory_order_acquire) != Opening::kNamed) return false;
  Ledger& ledger = *context_.ledger;
  for (const DestinationName& name : names_) {
    const std::size_t known = ledger.destination_count();
    const auto slot =
        ledger.find_or_add_destination(identity_of(name), name_of(name), type_of(name));
    if (!slot) continue;  // take_up() says so
    if (*slot >= known) {
      // relaxed: shown by itself.
      ledger.destination(*slot).state.store(ledger::DestinationState::kRemoved,
                                            std::memory_order_relaxed);
    }
    slots_.emplace(identity_of(name), *slot);
  }
  names_.clear();
  opening_.store(Opening::kSlotted, std::memory_order_release);  // pairs with run()
  return true;
}

void Spooler::take_up() {
  const Spool::Recovered found = spool_.recover(std::exchange(slots_, {}), *context_.redo);
  const std::string& directory = spool_.settings().directory;
  if (found.records > 0) {
    log_info("recovered: {} spooled records in {} segments of {} are still to be delivered{}",
             found.records, found.segments, directory,
             found.adopted == 0
                 ? std::string()
                 : fmt::format(", {} of them of before a reboot, a power cut or a replay",
                               found.adopted));
  }
  if (!found.first_flaw.empty() || found.lost > 0) {
    log_error(
        "the spool {} is damaged: {} segments are set aside as *.damaged, {} records are lost and "
        "counted as dropped(damaged), the rest goes on: {}",
        directory, found.set_aside, found.lost,
        found.first_flaw.empty() ? "files were removed from outside" : found.first_flaw);
  }
  if (found.left > 0) {
    log_error(
        "{} segments of the spool {} cannot be read and are left where they are, for a start that "
        "can: {}",
        found.left, directory, found.first_left);
  }
  state_.store(SpoolState::kOk, std::memory_order_relaxed);
  opening_.store(Opening::kOpen, std::memory_order_release);  // pairs with is_taking_up()
  publish();
}

void Spooler::run() {
  if (is_open()) begin();
  while (!stop_.load(std::memory_order_relaxed)) {
    if (!is_open()) open_late(monotonic_now());
    const bool is_busy = pass();
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, is_busy ? kBusySleep : kIdleSleep, [this] {
      return stop_.load(std::memory_order_relaxed) || messages_.size_approx() > 0;
    });
  }
}

void Spooler::begin() {
  const std::lock_guard transactions(transactions_);
  find_adopted();
  context_.taken_up();
}

bool Spooler::pass() {
  const std::lock_guard transactions(transactions_);
  const bool had_message = take_messages();
  const Instant now = monotonic_now();
  collect();  // first: what was settled makes room, and its end is noted
  serve_wishes(now);
  tick(now);
  return had_message || !wishes_.empty() || !restaged_.empty();
}

// ---- Any thread ---------------------------------------------------------------------------------

void Spooler::stop() {
  stop_.store(true, std::memory_order_relaxed);
  wake_.notify_one();
}

void Spooler::send(Message message) {
  messages_.enqueue(std::move(message));
  wake_.notify_one();  // missed at worst until the next look
}

Spooler::Taking Spooler::takes() const noexcept {
  // relaxed, all of it: hints.
  if (puts_waiting_.load(std::memory_order_relaxed) >= kPutsWaitingMax) return Taking::kBusy;
  if (state_.load(std::memory_order_relaxed) == SpoolState::kOk) return Taking::kYes;
  const bool is_time = is_open() && monotonic_now().time_since_epoch().count() >=
                                        again_at_.load(std::memory_order_relaxed);
  return is_time ? Taking::kYes : Taking::kNo;
}

void Spooler::put(PutPtr put, std::function<void(Answer)> written) {
  puts_waiting_.fetch_add(1, std::memory_order_relaxed);
  Message message;
  message.put = std::move(put);
  message.written = std::move(written);
  send(std::move(message));
}

void Spooler::committed(std::vector<Part> parts) {
  Message message;
  message.parts = std::move(parts);
  send(std::move(message));
}

void Spooler::read_back(Wish wish, std::function<void(bool)> answered) {
  Message message;
  message.wish = std::move(wish);
  message.answered = std::move(answered);
  send(std::move(message));
}

bool Spooler::take_messages() {
  Message message;
  bool any = false;
  while (!stop_.load(std::memory_order_relaxed) && messages_.try_dequeue(message)) {
    any = true;
    if (message.put != nullptr) {
      write_and_answer(message.put, message.written);
    } else if (!message.parts.empty()) {
      commit(message.parts);
    } else {
      wishes_.push_back({.wish = std::move(message.wish),
                         .answered = std::move(message.answered),
                         .since = monotonic_now()});
    }
    message = Message{};
  }
  return any;
}

// ---- Into the spool -----------------------------------------------------------------------------

Result<Spooler::Answer> Spooler::write(const Put& put) {
  SIDECAST_ASSERT(!put.entries.empty());
  std::vector<DestinationName> names;
  for (const DestinationIndex index : put.destinations) {
    const ledger::DestinationSlot& slot = context_.ledger->destination(index);
    names.push_back({.identity = slot.identity, .name = slot.name, .type = slot.type});
  }
  const auto age = std::max(monotonic_now() - put.sealed_at, Instant::duration::zero());
  const Timestamp now = wall_now();
  std::vector<Part> parts;
  for (std::size_t first = 0; first < put.entries.size();) {
    if (auto part = give_back(put, first)) {
      parts.push_back(*part);
      first += part->count;
      continue;
    }
    const Run run = new_from(put, first);
    auto fits = write_part(put, {.ref = {}, .state = nullptr, .first = first, .count = run.count},
                           {.records = {},
                            .destinations = names,
                            .form = put.form,
                            .sealed_ns = std::min(unix_ns(now - age), run.sealed_ns),
                            .body = {}},
                           parts);
    first += run.count;
    if (fits && *fits) continue;
    take_back(parts);
    if (fits) return Answer{.parts = {}, .is_too_large = true};
    const bool is_refused = put.at_limit == Spool::AtLimit::kRefuse &&
                            fits.error().message().starts_with(kNoRoomAtLimit);
    if (is_refused) return Answer{.parts = {}, .is_refused = true};
    return fail(std::move(fits.error()));
  }
  return Answer{.parts = std::move(parts)};
}

// Records from `first` on that come from the same place, and cannot go back there.
Spooler::Run Spooler::new_from(const Put& put, std::size_t first) {
  const Restaged* const one = restaged_with(put.entries[first]);
  Run run;
  // What was read back grows no younger, and makes nothing else older.
  if (one != nullptr) run.sealed_ns = spool_.sealed_ns(one->ref);
  const std::size_t end = std::min(put.entries.size(), first + kFrameRecordsMax);
  while (first + run.count < end && restaged_with(put.entries[first + run.count]) == one) {
    ++run.count;
  }
  return run;
}

void Spooler::take_back(const std::vector<Part>& parts) {
  for (const Part& part : parts) {
    if (part.is_given_back) {
      end_giving_back(part, false);
    } else {
      spool_.abandoned(part.ref);
    }
  }
}

Result<bool> Spooler::write_part(const Put& put, Part part, NewFrame frame,
                                 std::vector<Part>& parts) {
  std::vector<Bytes> pieces;
  frame.records.clear();
  for (std::size_t i = part.first; i < part.first + part.count; ++i) {
    frame.records.push_back(record_of(*put.entries[i].entry));
    pieces.push_back(put.entries[i].entry->encoded());
  }
  std::string packed;
  if (put.body != nullptr && part.count == put.entries.size()) {
    frame.body = *put.body;
  } else {
    frame.form = {.compression = Compression::kZstd,
                  .encoder = put.form.encoder,
                  .dialect = put.form.dialect,
                  .privacy = put.form.privacy};
    packed = compressor_.compress(Compression::kZstd, pieces);
    frame.body = packed;
  }
  if (frame_bytes(frame) > spool_.frame_bytes_max()) {
    if (part.count == 1) return false;
    Part half = part;
    half.count = part.count / 2;
    auto fits = write_part(put, half, frame, parts);
    if (!fits || !*fits) return fits;
    half.first += half.count;
    half.count = part.count - half.count;
    return write_part(put, half, std::move(frame), parts);
  }
  const auto ref = spool_.write(frame, put.destinations, put.at_limit, *context_.redo, wall_now());
  if (!ref) return fail(ref.error());
  part.ref = *ref;
  part.state = &spool_.state_of(*ref);
  part.frame_bits = all_bits(put.destinations.size());
  parts.push_back(part);
  return true;
}

void Spooler::write_and_answer(const PutPtr& put, const std::function<void(Answer)>& written) {
  auto written_parts = write(*put);
  puts_waiting_.fetch_sub(1, std::memory_order_relaxed);
  SIDECAST_TEST_POINT("spool.written");
  Answer answer;
  if (written_parts) {
    answer = *std::move(written_parts);
    if (!answer.is_too_large && !answer.is_refused) note_success();
  } else {
    note_failure(written_parts.error(), monotonic_now());
  }
  if (answer.is_too_large && !std::exchange(is_too_large_told_, true)) {
    log_warning(
        "a record is larger than the spool may be ({} bytes): such records stay in memory, and are "
        "dropped(budget) when that is short; raise spool.limit",
        spool_.settings().limit_bytes);
  }
  context_.post(
      [put, written, answer = std::move(answer)]() mutable { written(std::move(answer)); });
}

void Spooler::commit(const std::vector<Part>& parts) {
  for (const Part& part : parts) {
    if (part.is_given_back) {
      end_giving_back(part, true);
    } else {
      spool_.committed(part.ref);
    }
  }
}

void Spooler::abandon() {
  spool_.abandon_uncommitted();
  // Word of the commit may still have been on its way.
  while (!giving_back_.empty()) {
    const Restaged& one = giving_back_.back();
    const std::uint64_t pending = spool_.state_of(one.ref).pending(one.ref.ordinal);
    end_giving_back({.ref = one.ref, .frame_bits = one.bit}, (pending & one.bit) != 0);
  }
}

// ---- From time to time --------------------------------------------------------------------------

void Spooler::tick(Instant now) {
  if (now < next_tick_) return;
  next_tick_ = now + kTick;
  if (is_open()) {
    spool_.rest();
    if (now >= next_overdue_) {
      next_overdue_ = now + kOverdueLook;
      say_overdue(spool_.drop_overdue(*context_.redo, wall_now()));
    }
    if (Status synced = spool_.sync(); !synced) note_failure(synced.error(), now);
  }
  publish();
}

void Spooler::open_late(Instant now) {
  switch (opening_.load(std::memory_order_acquire)) {  // pairs with name_slots()
    case Opening::kClosed:
      // relaxed: this thread's own, here.
      if (now.time_since_epoch().count() >= again_at_.load(std::memory_order_relaxed)) look();
      break;
    case Opening::kSlotted:
      log_info("the spool {} can be used now", spool_.settings().directory);
      take_up();
      begin();
      break;
    case Opening::kNamed:  // the other thread's turn
    case Opening::kOpen:
      break;
  }
}

void Spooler::note_failure(const Error& error, Instant now) {
  again_at_.store((now + kFailurePause).time_since_epoch().count(), std::memory_order_relaxed);
  const bool is_at_limit = error.message().starts_with(kNoRoomAtLimit);
  const bool is_full = is_at_limit || is_for_want_of_room(error);
  const SpoolState state = is_full ? SpoolState::kFull : SpoolState::kUnusable;
  if (state_.exchange(state, std::memory_order_relaxed) == state && is_loss_told_) return;
  is_loss_told_ = true;
  log_error(
      "the spool {} takes nothing: {}; until it does, what outlives memory_limit is "
      "dropped(budget), oldest first: {}",
      spool_.settings().directory, error.message(),
      is_at_limit ? "raise spool.limit"
      : is_full   ? "free room on that file system, or lower spool.limit"
                  : "give this user a directory it may write to");
}

void Spooler::note_success() {
  // Beside what found no room, something smaller may: that alone is no news.
  const bool is_calm =
      monotonic_now().time_since_epoch().count() >= again_at_.load(std::memory_order_relaxed);
  if (is_calm && state_.exchange(SpoolState::kOk, std::memory_order_relaxed) != SpoolState::kOk) {
    log_info("the spool {} works again", spool_.settings().directory);
    is_loss_told_ = false;
  }
  if (const std::uint64_t dropped = spool_.take_dropped_for_room(); dropped > 0) {
    log_warning(
        "the spool {} is at its limit of {} bytes: its oldest {} records are dropped(budget); "
        "raise spool.limit, or mend the destinations",
        spool_.settings().directory, spool_.settings().limit_bytes, dropped);
  }
}

void Spooler::say_overdue(const Spool::Overdue& overdue) {
  if (overdue.expired > 0) {
    log_warning(
        "{} spooled records are older than {} s and dropped(expired); mend the destinations, or "
        "raise spool.age_max",
        overdue.expired, spool_.settings().age_max.count());
  }
  if (overdue.policy_changed > 0) {
    log_warning(
        "{} spooled records are dropped(policy_changed): nobody undid the change of their "
        "destinations in time",
        overdue.policy_changed);
  }
}

void Spooler::publish() {
  // relaxed: figures for stats; each is read by itself.
  constexpr auto kRelaxed = std::memory_order_relaxed;
  ledger::SpoolBlock& block = context_.ledger->header().spool;
  const Spool::Figures figures = spool_.figures();
  block.state.store(state_.load(kRelaxed), kRelaxed);
  block.bytes.store(figures.bytes, kRelaxed);
  block.limit_bytes.store(spool_.settings().limit_bytes, kRelaxed);
  block.segments.store(figures.segments, kRelaxed);
  block.batches.store(figures.batches, kRelaxed);
  block.records.store(figures.records, kRelaxed);
}

}  // namespace sidecast::spool
