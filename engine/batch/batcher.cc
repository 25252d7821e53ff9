#include "engine/batch/batcher.h"

#include <algorithm>
#include <utility>

namespace sidecast {
namespace {

// With nobody to send to, a batch may as well grow; but it must become a batch some time, since
// only batches expire.
constexpr std::chrono::seconds kAgeMaxUnavailable{30};

BatchRecord record_of(const stage::Entry& entry) {
  return {.encoded = entry.encoded(),
          .trace_id = entry.trace_id,
          .start = timestamp_from_ns(entry.start_ns),
          .generation_id = entry.generation_id(),
          .api_key_name = entry.api_key_name(),
          .span_count = entry.span_count};
}

}  // namespace

Batcher::Batcher(PlanPtr plan, std::uint64_t batch_bytes_max,
                 std::atomic<std::uint64_t>& body_bytes_total, Submit submit, fates::FateLog fates)
    : plan_(std::move(plan)),
      batch_bytes_max_(batch_bytes_max),
      body_bytes_total_(body_bytes_total),
      submit_(std::move(submit)),
      fates_(fates),
      open_(plan_->groups.size()) {}

void Batcher::follow(PlanPtr plan, Instant now) {
  std::vector<OpenBatch> open(plan->groups.size());
  std::vector<std::size_t> begun;
  for (const std::size_t i : begun_) {
    const PlannedGroupPtr& group = plan_->groups[i];
    const auto found = plan->group_by_slot.find(group->slot);
    if (found != plan->group_by_slot.end() && plan->groups[found->second] == group) {
      open[found->second] = std::move(open_[i]);
      begun.push_back(found->second);
    } else {
      seal(group, open_[i], group->mask, now);
    }
  }
  open_ = std::move(open);
  begun_ = std::move(begun);
  plan_ = std::move(plan);
}

bool Batcher::fits(const OpenBatch& open, const stage::Entry& entry,
                   const PlannedGroup& group) const {
  if (open.entries.empty()) return true;  // a record that is larger than a batch travels alone
  const Limits& limits = group.group.format.limits;
  // relaxed: a hint; what is too large is cut before it is sent.
  const std::uint64_t bytes_max = std::min({limits.batch_bytes_max, batch_bytes_max_,
                                            group.batch_bytes_max.load(std::memory_order_relaxed)});
  return open.entries.size() < limits.batch_records_max &&
         open.spans + entry.span_count <= limits.batch_spans_max &&
         open.bytes + entry.encoded_bytes <= bytes_max;
}

void Batcher::add(std::size_t group, stage::EntryRef ref, Instant now) {
  const PlannedGroupPtr& planned = plan_->groups[group];
  OpenBatch& open = open_[group];
  if (open.entries.empty()) begun_.push_back(group);
  if (!fits(open, *ref.entry, *planned)) seal(planned, open, planned->mask, now);
  if (open.entries.empty()) open.oldest = now;
  open.entries.push_back(ref);
  open.bytes += ref.entry->encoded_bytes;
  open.spans += ref.entry->span_count;
  ++open_entries_;
}

void Batcher::seal_due(Instant now, bool all) {
  std::erase_if(begun_, [&](std::size_t i) {
    OpenBatch& open = open_[i];
    const PlannedGroupPtr& planned = plan_->groups[i];
    // relaxed: a hint; a batch sealed a little early or late is as good.
    const bool available = planned->members_available.load(std::memory_order_relaxed) > 0;
    const Milliseconds age_max =
        available ? plan_->config->batch_age_max : Milliseconds(kAgeMaxUnavailable);
    const bool is_due = all || now - open.oldest >= age_max;
    if (is_due) seal(planned, open, planned->mask, now);
    return is_due;
  });
}

void Batcher::seal(const PlannedGroupPtr& group, OpenBatch& open, std::uint64_t destinations,
                   Instant now) {
  const Format& format = group->group.format;
  auto batch = std::make_shared<Batch>();
  batch->records.reserve(open.entries.size());
  for (const stage::EntryRef& ref : open.entries) batch->records.push_back(record_of(*ref.entry));
  if (open.shrunk != nullptr) {
    batch->shrunk = std::move(open.shrunk);
    batch->records.front().encoded = batch->shrunk->view();
  }
  if (format.hash_records) {
    for (const BatchRecord& record : batch->records) {
      batch->record_hashes.push_back(sha256(record.encoded));
    }
  }
  batch->content_type = format.encoder->content_type;
  batch->uncompressed_bytes = open.bytes;
  if (format.whole_batch) {
    pieces_.clear();
    pieces_.push_back(format.prefix());
    for (std::size_t i = 0; i < batch->records.size(); ++i) {
      if (i > 0) pieces_.push_back(format.encoder->separator);
      pieces_.push_back(batch->records[i].encoded);
    }
    pieces_.push_back(format.suffix());
    std::erase_if(pieces_, [](Bytes piece) { return piece.empty(); });
    batch->body =
        std::make_shared<const std::string>(compressor_.compress(format.compression, pieces_));
    batch->content_encoding = content_encoding(format.compression);
    if (format.hash_body) batch->body_hash = sha256(*batch->body);
  }
  auto sealed = std::make_shared<SealedBatch>();
  sealed->group = group;
  sealed->destinations = destinations;
  sealed->sealed_at = now;
  sealed->body_bytes = (batch->body == nullptr ? 0 : batch->body->size()) +
                       (batch->shrunk == nullptr ? 0 : batch->shrunk->capacity());
  sealed->shrinking = open.shrinking;
  sealed->number = fates_.batch(group->slot, open.bytes, open.shrinking.attempt, open.entries);
  sealed->body_bytes_total = &body_bytes_total_;
  body_bytes_total_.fetch_add(sealed->body_bytes, std::memory_order_relaxed);
  sealed->batch = std::move(batch);
  sealed->entries = std::move(open.entries);
  open_entries_ -= std::min(open_entries_, sealed->entries.size());
  open = OpenBatch{};
  submit_(std::move(sealed));
}

void Batcher::freeze(const PlannedGroupPtr& group, std::span<const stage::EntryRef> entries,
                     std::uint64_t destinations, Instant sealed_at) {
  OpenBatch open;
  const auto flush = [&] {
    open_entries_ += open.entries.size();  // seal() counts them down again
    seal(group, open, destinations, sealed_at);
  };
  for (const stage::EntryRef& ref : entries) {
    if (!fits(open, *ref.entry, *group)) flush();
    open.entries.push_back(ref);
    open.bytes += ref.entry->encoded_bytes;
    open.spans += ref.entry->span_count;
  }
  if (!open.entries.empty()) flush();
}

void Batcher::freeze_shrunk(const PlannedGroupPtr& group, stage::EntryRef ref,
                            std::uint64_t destinations, Shrinking shrinking, Instant sealed_at) {
  OpenBatch open;
  open.entries.push_back(ref);
  open.bytes = ref.entry->encoded_bytes;
  open.spans = ref.entry->span_count;
  open.shrinking = shrinking;
  const Encoder& encoder = *group->group.format.encoder;
  auto smaller = std::make_shared<ByteBuffer>();
  if (encoder.shrink != nullptr &&
      encoder.shrink(ref.entry->encoded(), shrinking.bytes_max, *smaller)) {
    open.bytes = smaller->size();
    open.shrunk = std::move(smaller);
  }
  ++open_entries_;  // seal() counts it down again
  seal(group, open, destinations, sealed_at);
}

}  // namespace sidecast
