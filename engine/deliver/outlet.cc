#include "engine/deliver/outlet.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/base/assert.h"
#include "engine/base/log.h"
#include "engine/deliver/attempt.h"
#include "engine/ledger/latency.h"
#include "exporters/exchange.h"

namespace sidecast {
namespace {

using ledger::DestinationState;

// Credentials and addresses do not mend themselves within seconds; once somebody has mended them,
// several tries are left before the give-up age.
constexpr BackoffLimits kPauseLimits{.first = std::chrono::seconds(15),
                                     .max = std::chrono::minutes(1)};
constexpr BackoffLimits kRetryLimits{};
// With batches waiting and none answered for so long, a destination does not deliver.
constexpr std::chrono::seconds kSilenceMax{5};
// One bad answer costs a wait of a second or more; that alone is no reason to drop anything.
constexpr std::chrono::seconds kOutagePatience{2};

// relaxed everywhere: figures for stats, with this thread as their only writer.
void add(ledger::Counter& counter, std::uint64_t count) {
  counter.store(counter.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
}

std::uint64_t encoded_bytes(const SealedBatch& sealed, std::size_t first, std::size_t count) {
  std::uint64_t bytes = 0;
  for (std::size_t i = first; i < first + count; ++i)
    bytes += sealed.batch->records[i].encoded.size();
  return bytes;
}

// Of what is some seconds old; half of it after three.
double kept_of(Instant::duration age) {
  constexpr std::chrono::duration<double> kHalfLife{3.0};
  return std::exp2(-(age / kHalfLife));
}

SizeLimit learnt_limit(const ledger::DestinationSlot& slot) {
  const auto known = [](const std::atomic<std::uint64_t>& bytes) {
    const std::uint64_t value = bytes.load(std::memory_order_relaxed);
    return value == 0 ? SizeLimit::kNone : value;
  };
  return SizeLimit(
      {.batch_bytes_max = known(slot.batch_bytes_max),
       .record_bytes_refused = known(slot.record_bytes_refused),
       .learnt = timestamp_from_ns(slot.limit_learnt_ns.load(std::memory_order_relaxed))});
}

}  // namespace

Outlet::Outlet(PlannedDestination destination, Context context)
    : destination_(std::move(destination)),
      context_(context),
      breaker_(destination_.config->connections_max),
      limit_(learnt_limit(context.ledger.destination(destination_.slot))),
      losses_(destination_.config->name, context.give_up_after),
      random_(destination_.slot + 1) {
  note_place(*destination_.group);
  slot().state.store(state_, std::memory_order_relaxed);
  keep_limit();
}

Outlet::~Outlet() {
  if (timer_ != 0) context_.loop.cancel(timer_);
}

void Outlet::submit(SealedBatchPtr sealed) {
  if (sealed->group != destination_.group) note_place(*sealed->group);
  // Nobody's record may reach a destination that was not set up for its account.
  if (const auto& accounts = destination_.config->accounts; !accounts.empty()) {
    for (const stage::EntryRef& ref : sealed->entries) {
      SIDECAST_ASSERT(std::find(accounts.begin(), accounts.end(), ref.entry->account()) !=
                      accounts.end());
    }
  }
  if (sealed->shrinking.attempt > 0 && sealed->batch->shrunk == nullptr) {
    context_.settler.rejected({sealed, 0, 1}, destination_.slot, bit_in(sealed),
                              RejectReason::kTooLarge);
    return;
  }
  const Instant now = monotonic_now();
  if (idle() && state_ == DestinationState::kOk) delivered_at_ = now;
  recent_bytes_ = recent_bytes(now) + static_cast<double>(sealed->batch->uncompressed_bytes);
  recent_at_ = now;
  queued_bytes_ += sealed->batch->uncompressed_bytes;
  if (has_left_) {
    retire(sealed, sealed->entries.size());
    if (is_piece_of_search(*sealed)) {
      hold_search();
    } else {
      hold(*sealed, 0, sealed->entries.size());
    }
    return;
  }
  if (is_piece_of_search(*sealed)) {
    expand(sealed, true);
  } else {
    waiting_.push_back(std::move(sealed));
  }
  pump();
}

void Outlet::pump() {
  ask_for_spooled();
  while (breaker_.may_send(monotonic_now())) {
    if (!search_ && ready_.empty()) {
      const SealedBatchPtr next = take_turn();
      if (next == nullptr) return;
      expand(next, false);
      continue;
    }
    const auto next = std::find_if(ready_.begin(), ready_.end(),
                                   [this](const Send& send) { return !search_ || send.is_piece; });
    if (next == ready_.end()) return;  // a worker has the piece in hand
    Send send = std::move(*next);
    ready_.erase(next);
    if (is_too_large(send)) {
      cut(send.sealed);
    } else if (is_known_to_be_refused(send) && try_shrink(range_of(send))) {
      retire(send.sealed, 1);
    } else {
      start(std::move(send));
    }
  }
}

void Outlet::expand(const SealedBatchPtr& sealed, bool is_piece) {
  auto requests = destination_.config->exporter->encode(sealed->batch);
  if (!requests) {
    const Send whole{.request = {.record_count = sealed->entries.size()},
                     .sealed = sealed,
                     .is_piece = is_piece};
    tell_answer(whole,
                {.kind = Verdict::Kind::kRejected, .explanation = requests.error().message()}, {});
    drop(whole, ledger::DropReason::kEncode, requests.error().message());
    return;
  }
  std::size_t covered = 0;
  for (Request& request : *requests) {
    SIDECAST_ASSERT(request.record_first == covered);  // each record in exactly one request
    covered += request.record_count;
    ready_.push_back({.request = std::move(request), .sealed = sealed, .is_piece = is_piece});
  }
  SIDECAST_ASSERT(covered == sealed->entries.size());
}

void Outlet::start(Send send) {
  auto target = exchange_target(context_.loop, destination_.config);
  const Breaker::Round round = breaker_.round();
  const auto fail_to_start = [&](Send unsent, const Error& error) {
    const Verdict verdict{.kind = Verdict::Kind::kPause, .explanation = error.message()};
    tell_answer(unsent, verdict, {});
    ready_.push_front(std::move(unsent));
    failed(round, verdict);
  };
  if (!target) {
    fail_to_start(std::move(send), target.error());
    return;
  }
  target->options.standing = {.is_proven = breaker_.is_closed() && accepted_at_ != Instant{},
                              .failures = breaker_.failures()};
  const auto shared = std::make_shared<Send>(std::move(send));
  const Request& request = shared->request;  // pieces are views: a copy copies no body
  const Status started = exchange(
      *target, request,
      [this, round, shared](const Verdict& verdict, const Response&, const TransferTimes& times) {
        finish(std::move(*shared), round, verdict, times);
      });
  if (!started) {
    fail_to_start(std::move(*shared), started.error());
    return;
  }
  breaker_.sent();
  context_.fates.sent(part_of(*shared), ++shared->attempts, request.body_bytes());
  add(slot().requests, 1);
  add(slot().bytes_sent, request.body_bytes());
  add(slot().bytes_uncompressed,
      encoded_bytes(*shared->sealed, request.record_first, request.record_count));
}

void Outlet::finish(Send send, Breaker::Round round, const Verdict& verdict,
                    const TransferTimes& times) {
  breaker_.ended();
  // relaxed: see add().
  slot().latency[latency_bucket(times.total)].fetch_add(1, std::memory_order_relaxed);
  tell_answer(send, verdict, std::chrono::duration_cast<Milliseconds>(times.total));
  if (has_left_) {
    judge_last(send, verdict);
    return;
  }
  const RecordRange range = range_of(send);
  switch (verdict.kind) {
    case Verdict::Kind::kDelivered:
      accepted(round, verdict);
      limit_.accepted(accepted_bytes(send, verdict));
      retire(send.sealed, range.count);
      context_.settler.delivered(range, destination_.slot, bit_in(range.sealed));
      if (send.is_piece) search_->bisect.accepted();
      break;
    case Verdict::Kind::kPartial:
      if (!verdict.items.empty()) {
        settle_items(send, round, verdict);
        break;
      }
      if (verdict.rejected_spans < range.count) {
        accepted(round, verdict);
      } else {
        answered(round, verdict);  // it took nothing
      }
      losses_.rejected(std::min<std::uint64_t>(verdict.rejected_spans, range.count),
                       verdict.explanation, monotonic_now());
      retire(send.sealed, range.count);
      context_.settler.partly_delivered(range, destination_.slot, bit_in(range.sealed),
                                        verdict.rejected_spans);
      if (send.is_piece) search_->bisect.accepted();
      break;
    case Verdict::Kind::kRejected:
    case Verdict::Kind::kSplit:
      answered(round, verdict);  // only this request is at fault
      refused(std::move(send), verdict);
      break;
    case Verdict::Kind::kRetry:
    case Verdict::Kind::kPause:
      add(slot().retries, 1);
      ready_.push_front(std::move(send));
      failed(round, verdict);
      break;
  }
  if (search_) continue_search();
  pump();
}

// What the answer proves to be taken at once: a message is taken by itself, a body as a whole.
std::uint64_t Outlet::accepted_bytes(const Send& send, const Verdict& verdict) {
  const RecordRange range = range_of(send);
  if (send.request.messages == nullptr) {
    return encoded_bytes(*send.sealed, range.first, range.count);
  }
  std::uint64_t largest = 0;
  for (std::size_t i = 0; i < range.count; ++i) {
    const bool is_taken = verdict.items.empty() || verdict.items[i] == ItemFate::kDelivered;
    if (is_taken) largest = std::max(largest, encoded_bytes(*send.sealed, range.first + i, 1));
  }
  return largest;
}

// Once per request, for `sidecast explain`.
fates::PartNote Outlet::part_of(const Send& send) const {
  return {.batch = send.sealed->number,
          .first = send.request.record_first,
          .count = send.request.record_count,
          .destination = destination_.slot};
}

// That it was delivered says it all, unless there is a word to it.
void Outlet::tell_answer(const Send& send, const Verdict& verdict, Milliseconds took) {
  if (verdict.kind == Verdict::Kind::kDelivered && verdict.explanation.empty()) return;
  context_.fates.answered(part_of(send), static_cast<std::uint16_t>(verdict.kind), took.count(),
                          verdict.retry_hint ? verdict.retry_hint->count() : -1,
                          verdict.explanation);
}

// ---- State --------------------------------------------------------------------------------------

void Outlet::accepted(Breaker::Round round, const Verdict& verdict) {
  has_accepted_ = true;
  is_search_hopeless_ = false;
  delivered_at_ = accepted_at_ = monotonic_now();
  answered(round, verdict);
}

void Outlet::answered(Breaker::Round round, const Verdict& verdict) {
  note_error(verdict.explanation);
  breaker_.succeeded(round, monotonic_now());
  if (breaker_.is_closed()) set_state(DestinationState::kOk, {});
}

void Outlet::failed(Breaker::Round round, const Verdict& verdict) {
  const bool is_pause = verdict.kind == Verdict::Kind::kPause;
  std::uniform_real_distribution<double> unit(0.0, 1.0);
  breaker_.failed(round, is_pause ? kPauseLimits : kRetryLimits, verdict.retry_hint,
                  monotonic_now(), unit(random_));
  note_error(verdict.explanation);
  if (breaker_.is_closed()) return;  // an answer from before an outage that is over
  set_state(is_pause ? DestinationState::kPaused : DestinationState::kBackingOff,
            verdict.explanation);
  pump_when_allowed();
}

void Outlet::pump_when_allowed() {
  if (timer_ != 0) context_.loop.cancel(timer_);
  const auto delay =
      std::chrono::ceil<std::chrono::milliseconds>(breaker_.not_before() - monotonic_now());
  timer_ = context_.loop.after(std::max(delay, std::chrono::milliseconds(0)), [this] {
    timer_ = 0;
    pump();
  });
}

void Outlet::note_error(const std::string& explanation) {
  if (explanation.empty()) return;
  auto& text = slot().last_error;
  const std::size_t size = std::min(explanation.size(), text.size() - 1);
  std::copy_n(explanation.data(), size, text.data());
  std::fill(text.begin() + static_cast<std::ptrdiff_t>(size), text.end(), '\0');
}

void Outlet::set_state(DestinationState state, const std::string& explanation) {
  if (state == state_) return;
  const std::string& name = destination_.config->name;
  switch (state) {
    case DestinationState::kOk:
      log_info("{}: delivers again", name);
      break;
    case DestinationState::kPaused:
      log_warning("{}: paused, its batches are kept: {}", name, explanation);
      break;
    default:
      log_warning("{}: does not deliver, retrying: {}", name, explanation);
      break;
  }
  const bool was_available = state_ == DestinationState::kOk;
  const bool is_available = state == DestinationState::kOk;
  // relaxed: a hint for the batcher.
  if (was_available && !is_available) {
    destination_.group->members_available.fetch_sub(1, std::memory_order_relaxed);
  } else if (!was_available && is_available) {
    destination_.group->members_available.fetch_add(1, std::memory_order_relaxed);
  }
  state_ = state;
  slot().state.store(state, std::memory_order_relaxed);
}

void Outlet::retire(const SealedBatchPtr& sealed, std::size_t records) {
  // A share by count is near enough for the choice of a victim; exact when the batch ends whole.
  const std::uint64_t share = sealed->batch->uncompressed_bytes * records /
                              std::max<std::size_t>(1, sealed->entries.size());
  queued_bytes_ -= std::min(queued_bytes_, share);
}

void Outlet::drop(const Send& send, ledger::DropReason reason, const std::string& cause,
                  Shortage shortage) {
  const RecordRange range = range_of(send);
  retire(range.sealed, range.count);
  context_.settler.dropped(range, destination_.slot, bit_in(range.sealed), reason);
  losses_.dropped(reason, range.count, cause, monotonic_now(), shortage);
  if (!send.is_piece) return;
  search_->bisect.gone();
  continue_search();
}

// The oldest that is neither under way nor in a worker's hand; nothing when there is none.
std::optional<Outlet::Send> Outlet::take_oldest() {
  std::optional<Send> oldest;
  if (!ready_.empty()) {
    oldest = std::move(ready_.front());
    ready_.pop_front();
  } else if (auto& queue = restored_.empty() ? waiting_ : restored_; !queue.empty()) {
    oldest =
        Send{.request = {.record_count = queue.front()->entries.size()}, .sealed = queue.front()};
    queue.pop_front();
  }
  return oldest;
}

void Outlet::expire(Instant now) {
  const auto is_old = [&](const SealedBatchPtr& sealed) {
    return now - sealed->sealed_at > context_.give_up_after;
  };
  // A piece is as old as what it is a piece of.
  const auto is_oldest_old = [&] {
    if (ready_.empty() && !restored_.empty()) return is_old(restored_.front());
    if (ready_.empty()) return !waiting_.empty() && is_old(waiting_.front());
    const Send& oldest = ready_.front();
    return is_old(oldest.is_piece ? search_->held : oldest.sealed);
  };
  while (is_oldest_old()) {
    drop(*take_oldest(), ledger::DropReason::kExpired, trouble());
  }
  losses_.tick(now);
  note_busy(now);
  if (limit_.raise_if_due(wall_now())) keep_limit();
  ask_for_spooled();
}

bool Outlet::delivers(Instant now) const noexcept {
  return now - delivered_at_ < (state_ == DestinationState::kOk ? kSilenceMax : kOutagePatience);
}

bool Outlet::accepts(Instant now) const noexcept {
  return accepted_at_ != Instant{} && now - accepted_at_ < kSilenceMax;
}

Instant::duration Outlet::lag(Instant now) const noexcept {
  const SealedBatch* const batch = oldest();
  return batch == nullptr ? Instant::duration::zero() : now - batch->sealed_at;
}

double Outlet::recent_bytes(Instant now) const noexcept {
  return recent_bytes_ * kept_of(now - recent_at_);
}

double Outlet::busy_share(Instant now) const noexcept {
  return busy_share_ * kept_of(now - busy_at_);
}

// A sample, as of the last one or the last half second.
void Outlet::note_busy(Instant now) {
  constexpr Instant::duration kSampleMax = std::chrono::milliseconds(500);
  const double kept = kept_of(std::min(now - busy_at_, kSampleMax));
  busy_share_ = busy_share(now) + (idle() ? 0.0 : 1.0 - kept);
  busy_at_ = now;
}

void Outlet::hurry() {
  if (breaker_.is_closed() || breaker_.under_way() > 0) return;
  const Instant before = breaker_.not_before();
  breaker_.hurry();
  if (breaker_.not_before() < before) pump_when_allowed();
}

bool Outlet::drop_oldest(Shortage shortage) {
  const auto oldest = take_oldest();
  if (!oldest) return false;
  drop(*oldest, ledger::DropReason::kBudget, trouble(), shortage);
  return true;
}

std::string Outlet::trouble() {
  return state_ == DestinationState::kOk ? std::string() : std::string(slot().last_error.data());
}

}  // namespace sidecast
