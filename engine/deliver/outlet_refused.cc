// Outlet, where a batch or a record was refused: the search for what is guilty, what it teaches
// about sizes, and a record that is sent again with less content.
#include <algorithm>
#include <utility>

#include "engine/base/assert.h"
#include "engine/base/log.h"
#include "engine/deliver/outlet.h"

namespace sidecast {
namespace {

RejectReason reason_of(const Verdict& verdict) {
  return verdict.kind == Verdict::Kind::kSplit ? RejectReason::kTooLarge : verdict.reason;
}

// As it was frozen, or staged.
std::uint64_t record_bytes(const SealedBatch& sealed, std::size_t index) {
  return sealed.batch == nullptr ? sealed.entries[index].entry->encoded_bytes
                                 : sealed.batch->records[index].encoded.size();
}

}  // namespace

// An entry is in one batch at a time, so its place tells whose piece this is.
bool Outlet::is_piece_of_search(const SealedBatch& sealed) const {
  if (!search_) return false;
  const auto piece = search_->bisect.next();
  if (!piece || sealed.entries.front().entry != search_->held->entries[piece->first].entry) {
    return false;
  }
  SIDECAST_ASSERT(sealed.entries.size() == piece->count);  // a part of what was one batch is one
  return true;
}

void Outlet::refused(Send send, const Verdict& verdict) {
  const RecordRange range = range_of(send);
  const bool is_size = verdict.kind == Verdict::Kind::kSplit;
  const bool is_record = is_size || verdict.blames_content;
  if (send.is_piece && is_record) {
    retire(send.sealed, range.count);
    search_->bisect.refused();
    return;
  }
  if (is_record && is_too_large(send)) {  // sent before the limit was known
    cut(send.sealed);
    return;
  }
  const bool is_whole = range.count > 1 && range.count == send.sealed->entries.size();
  const bool is_worth_a_search =
      is_record && is_whole && !is_search_hopeless_ && (is_size || has_accepted_);
  if (is_worth_a_search && search_) {
    ready_.push_front(std::move(send));  // its turn comes, if it is still too large by then
    return;
  }
  if (is_worth_a_search) {
    search(send, verdict);
    return;
  }
  retire(send.sealed, range.count);
  const bool is_single = is_record && range.count == 1;
  if (!is_single || !shorten_refused(range, reason_of(verdict))) {
    losses_.rejected(range.count, verdict.explanation, monotonic_now());
    context_.settler.rejected(range, destination_.slot, bit_in(range.sealed), reason_of(verdict));
  }
  if (send.is_piece) search_->bisect.gone();
}

void Outlet::search(const Send& send, const Verdict& verdict) {
  retire(send.sealed, send.sealed->entries.size());
  auto held = std::make_shared<SealedBatch>();
  held->entries = send.sealed->entries;
  held->group = send.sealed->group;
  held->sealed_at = send.sealed->sealed_at;
  held->number = send.sealed->number;
  std::vector<std::uint64_t> sizes;
  for (const stage::EntryRef& ref : held->entries) sizes.push_back(ref.entry->encoded_bytes);
  const auto cause =
      verdict.kind == Verdict::Kind::kSplit ? Bisect::Cause::kSize : Bisect::Cause::kContent;
  search_.emplace(Search{.held = std::move(held),
                         .bisect = Bisect(cause, std::move(sizes)),
                         .reason = reason_of(verdict)});
}

// After an answer to a piece, or to begin.
void Outlet::continue_search() {
  for (const Bisect::Piece& piece : search_->bisect.take_rejected()) {
    const RecordRange range{search_->held, piece.first, piece.count};
    if (range.count == 1 && shorten_refused(range, search_->reason)) continue;
    context_.settler.rejected(range, destination_.slot, bit_in(range.sealed), search_->reason);
  }
  const auto piece = search_->bisect.next();
  if (!piece) {
    end_search();
  } else if (!(*piece == search_->frozen)) {
    search_->frozen = *piece;
    refreeze(search_->held, *piece);
  }
}

void Outlet::end_search() {
  const Bisect& bisect = search_->bisect;
  if (bisect.is_hopeless()) {
    is_search_hopeless_ = true;
    has_accepted_ = false;
  }
  if (const auto limit = bisect.limit_bytes(); limit && limit_.learn_batch(*limit, wall_now())) {
    log_info("{}: takes no batches of more than about {} bytes (uncompressed); larger ones are cut",
             destination_.config->name, *limit);
    keep_limit();
  }
  search_.reset();
}

bool Outlet::shorten_refused(const RecordRange& range, RejectReason reason) {
  const std::uint64_t bytes = record_bytes(*range.sealed, range.first);
  const bool is_size = reason == RejectReason::kTooLarge;
  if (is_size && bytes >= SizeLimit::kShrinkBytesMin) {
    if (limit_.learn_record(bytes, wall_now())) {
      log_warning(
          "{}: refuses a record of {} bytes (uncompressed) for its size: the content of such "
          "records is shortened and marked; raise the receiver's limit to have it whole",
          destination_.config->name, bytes);
    }
    keep_limit();
  }
  // Without a word on size, it may still be that when nothing so large was ever taken.
  const std::uint64_t accepted = limit_.accepted_bytes_max();
  const bool may_be_size =
      is_size || range.sealed->shrinking.attempt > 0 || (accepted > 0 && bytes > accepted);
  return may_be_size && try_shrink(range);
}

bool Outlet::try_shrink(const RecordRange& range) {
  const SealedBatch& sealed = *range.sealed;
  const auto shrinking =
      limit_.shrinking_after(sealed.shrinking, record_bytes(sealed, range.first));
  if (!shrinking || sealed.group->group.format.encoder->shrink == nullptr) return false;
  context_.refreeze(sealed.group, {sealed.entries[range.first]},
                    std::uint64_t{1} << bit_in(range.sealed), sealed.sealed_at, *shrinking);
  return true;
}

bool Outlet::is_known_to_be_refused(const Send& send) const {
  return !send.is_piece && send.request.record_count == 1 && send.sealed->shrinking.attempt == 0 &&
         limit_.refuses_record(record_bytes(*send.sealed, send.request.record_first));
}

// In the ledger, for the next start, and where the batcher looks.
void Outlet::keep_limit() {
  const SizeLimit::State& state = limit_.state();
  const auto stored = [](std::uint64_t bytes) { return bytes == SizeLimit::kNone ? 0 : bytes; };
  // relaxed: this thread is the only writer, and reader but for the next start.
  slot().batch_bytes_max.store(stored(state.batch_bytes_max), std::memory_order_relaxed);
  slot().record_bytes_refused.store(stored(state.record_bytes_refused), std::memory_order_relaxed);
  slot().limit_learnt_ns.store(unix_ns(state.learnt), std::memory_order_relaxed);
  // relaxed: a hint for the batcher. Others of the group may take more.
  if (destination_.group->members.size() == 1) {
    destination_.group->batch_bytes_max.store(state.batch_bytes_max, std::memory_order_relaxed);
  }
}

void Outlet::refreeze(const SealedBatchPtr& from, Bisect::Piece piece) {
  const auto begin = from->entries.begin() + static_cast<std::ptrdiff_t>(piece.first);
  context_.refreeze(from->group, {begin, begin + static_cast<std::ptrdiff_t>(piece.count)},
                    std::uint64_t{1} << bit_in(from), from->sealed_at, {});
}

bool Outlet::is_too_large(const Send& send) const {
  return !send.is_piece && send.request.record_count > 1 &&
         send.request.record_count == send.sealed->entries.size() &&
         send.sealed->batch->uncompressed_bytes > limit_.batch_bytes_max();
}

void Outlet::cut(const SealedBatchPtr& sealed) {
  retire(sealed, sealed->entries.size());
  std::vector<std::uint64_t> sizes;
  for (const stage::EntryRef& ref : sealed->entries) sizes.push_back(ref.entry->encoded_bytes);
  for (const Bisect::Piece& piece :
       cut_by_bytes(sizes, {0, sizes.size()}, limit_.batch_bytes_max())) {
    refreeze(sealed, piece);
  }
}

}  // namespace sidecast
