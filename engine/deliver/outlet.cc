#include "engine/deliver/outlet.h"

#include <algorithm>
#include <utility>

#include "engine/base/assert.h"
#include "engine/base/log.h"
#include "engine/ledger/latency.h"

namespace sidecast {
namespace {

using ledger::DestinationState;

// Credentials and addresses do not mend themselves within seconds.
constexpr BackoffLimits kPauseLimits{.first = std::chrono::seconds(15),
                                     .max = std::chrono::minutes(5)};
constexpr BackoffLimits kRetryLimits{};

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

}  // namespace

Outlet::Outlet(const PlannedDestination& destination, std::size_t index, PlannedGroup& group,
               Context context)
    : destination_(destination),
      index_(index),
      group_(group),
      context_(context),
      breaker_(destination.config->connections_max),
      losses_(destination.config->name, context.give_up_after),
      random_(destination.slot + 1) {}

void Outlet::submit(SealedBatchPtr sealed) {
  // Nobody's record may reach a destination that was not set up for its account.
  if (const auto& accounts = destination_.config->accounts; !accounts.empty()) {
    for (const stage::EntryRef& ref : sealed->entries) {
      SIDECAST_ASSERT(std::find(accounts.begin(), accounts.end(), ref.entry->account()) !=
                      accounts.end());
    }
  }
  queued_bytes_ += sealed->batch->uncompressed_bytes;
  waiting_.push_back(std::move(sealed));
  pump();
}

void Outlet::pump() {
  while (breaker_.may_send(monotonic_now())) {
    if (ready_.empty()) {
      if (waiting_.empty()) return;
      const SealedBatchPtr next = std::move(waiting_.front());
      waiting_.pop_front();
      expand(next);
      continue;
    }
    Send next = std::move(ready_.front());
    ready_.pop_front();
    start(std::move(next));
  }
}

void Outlet::expand(const SealedBatchPtr& sealed) {
  auto requests = destination_.config->exporter->encode(sealed->batch);
  if (!requests) {
    drop({sealed, 0, sealed->entries.size()}, ledger::DropReason::kEncode,
         requests.error().message());
    return;
  }
  std::size_t covered = 0;
  for (Request& request : *requests) {
    SIDECAST_ASSERT(request.record_first == covered);  // each record in exactly one request
    covered += request.record_count;
    ready_.push_back({.request = std::move(request), .sealed = sealed});
  }
  SIDECAST_ASSERT(covered == sealed->entries.size());
}

void Outlet::start(Send send) {
  Request attempt = send.request;  // pieces are views: this copies no body
  const Status authorised =
      destination_.config->exporter->authorise(attempt, destination_.config->secrets, wall_now());
  if (!authorised) {
    ready_.push_front(std::move(send));
    failed(breaker_.round(),
           {.kind = Verdict::Kind::kPause, .explanation = authorised.error().message()});
    return;
  }
  const Breaker::Round round = breaker_.sent();
  add(slot().requests, 1);
  add(slot().bytes_sent, attempt.body_bytes());
  add(slot().bytes_uncompressed,
      encoded_bytes(*send.sealed, send.request.record_first, send.request.record_count));
  const TransferOptions options{
      .timeout = destination_.config->timeout,
      .ca_file = destination_.config->ca_file,
      .http2_prior_knowledge = destination_.config->http2_prior_knowledge};
  // Judged as it was sent: what its headers held must not come back in an explanation.
  Request sent = attempt;
  context_.loop.send(std::move(attempt), options,
                     [this, round, send = std::move(send), sent = std::move(sent)](
                         const Response& response, const TransferTimes& times) mutable {
                       finish(std::move(send), round, sent, response, times);
                     });
}

void Outlet::finish(Send send, Breaker::Round round, const Request& sent, const Response& response,
                    const TransferTimes& times) {
  breaker_.ended();
  // relaxed: see add().
  slot().latency[latency_bucket(times.total)].fetch_add(1, std::memory_order_relaxed);
  const Verdict verdict = destination_.config->exporter->judge(sent, response, wall_now());
  const RecordRange range = range_of(send);
  switch (verdict.kind) {
    case Verdict::Kind::kDelivered:
      answered(round, verdict);
      retire(send.sealed, range.count);
      context_.settler.delivered(range, destination_.slot, bit_in(range.sealed));
      break;
    case Verdict::Kind::kPartial:
      answered(round, verdict);
      retire(send.sealed, range.count);
      context_.settler.partly_delivered(range, destination_.slot, bit_in(range.sealed),
                                        verdict.rejected_spans);
      break;
    case Verdict::Kind::kRejected:
      answered(round, verdict);  // only this request is at fault
      retire(send.sealed, range.count);
      context_.settler.rejected(range, destination_.slot, bit_in(range.sealed), verdict.reason);
      break;
    case Verdict::Kind::kSplit:
      answered(round, verdict);
      split(send);
      break;
    case Verdict::Kind::kRetry:
    case Verdict::Kind::kPause:
      add(slot().retries, 1);
      ready_.push_front(std::move(send));
      failed(round, verdict);
      break;
  }
  pump();
}

void Outlet::split(const Send& send) {
  const RecordRange range = range_of(send);
  retire(send.sealed, range.count);
  if (range.count == 1) {
    context_.settler.rejected(range, destination_.slot, bit_in(range.sealed),
                              RejectReason::kTooLarge);
    return;
  }
  const auto begin = send.sealed->entries.begin() + static_cast<std::ptrdiff_t>(range.first);
  const auto middle = begin + static_cast<std::ptrdiff_t>(range.count / 2);
  const auto end = begin + static_cast<std::ptrdiff_t>(range.count);
  const std::uint64_t me = std::uint64_t{1} << bit_in(send.sealed);
  context_.refreeze(*send.sealed->group, {begin, middle}, me);
  context_.refreeze(*send.sealed->group, {middle, end}, me);
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
    group_.members_available.fetch_sub(1, std::memory_order_relaxed);
  } else if (!was_available && is_available) {
    group_.members_available.fetch_add(1, std::memory_order_relaxed);
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

void Outlet::drop(const RecordRange& range, ledger::DropReason reason, const std::string& cause) {
  retire(range.sealed, range.count);
  context_.settler.dropped(range, destination_.slot, bit_in(range.sealed), reason);
  losses_.dropped(reason, range.count, cause, monotonic_now());
}

void Outlet::expire(Instant now) {
  while (!ready_.empty() && now - ready_.front().sealed->sealed_at > context_.give_up_after) {
    const RecordRange range = range_of(ready_.front());
    ready_.pop_front();
    drop(range, ledger::DropReason::kExpired, trouble());
  }
  while (!waiting_.empty() && now - waiting_.front()->sealed_at > context_.give_up_after) {
    const RecordRange range{waiting_.front(), 0, waiting_.front()->entries.size()};
    waiting_.pop_front();
    drop(range, ledger::DropReason::kExpired, trouble());
  }
  losses_.tick(now);
}

bool Outlet::drop_oldest() {
  RecordRange range;
  if (!ready_.empty()) {
    range = range_of(ready_.front());
    ready_.pop_front();
  } else if (!waiting_.empty()) {
    range = {waiting_.front(), 0, waiting_.front()->entries.size()};
    waiting_.pop_front();
  } else {
    return false;
  }
  drop(range, ledger::DropReason::kBudget, trouble());
  return true;
}

std::string Outlet::trouble() {
  return state_ == DestinationState::kOk ? std::string() : std::string(slot().last_error.data());
}

}  // namespace sidecast
