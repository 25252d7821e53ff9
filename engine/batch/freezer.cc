#include "engine/batch/freezer.h"

#include <algorithm>
#include <utility>

namespace sidecast {
namespace {

BatchRecord record_of(const stage::Entry& entry) {
  return {.encoded = entry.encoded(),
          .trace_id = entry.trace_id,
          .start = timestamp_from_ns(entry.start_ns),
          .generation_id = entry.generation_id(),
          .api_key_name = entry.api_key_name(),
          .span_count = entry.span_count};
}

}  // namespace

Freezer::Freezer(std::uint64_t batch_bytes_max, std::atomic<std::uint64_t>& body_bytes_total,
                 Submit submit, fates::FateLog fates)
    : batch_bytes_max_(batch_bytes_max),
      body_bytes_total_(body_bytes_total),
      submit_(std::move(submit)),
      fates_(fates) {}

bool Freezer::fits(const OpenBatch& open, const stage::Entry& entry,
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

std::shared_ptr<Batch> Freezer::describe(const Format& format,
                                         std::span<const stage::EntryRef> entries,
                                         std::shared_ptr<const ByteBuffer> shrunk) {
  auto batch = std::make_shared<Batch>();
  batch->records.reserve(entries.size());
  for (const stage::EntryRef& ref : entries) batch->records.push_back(record_of(*ref.entry));
  if (shrunk != nullptr) {
    batch->shrunk = std::move(shrunk);
    batch->records.front().encoded = batch->shrunk->view();
  }
  for (const BatchRecord& record : batch->records) {
    batch->uncompressed_bytes += record.encoded.size();
  }
  if (format.hash_records) {
    for (const BatchRecord& record : batch->records) {
      batch->record_hashes.push_back(sha256(record.encoded));
    }
  }
  batch->content_type = format.encoder->content_type;
  if (format.whole_batch) batch->content_encoding = content_encoding(format.compression);
  return batch;
}

void Freezer::seal(const PlannedGroupPtr& group, OpenBatch& open, std::uint64_t destinations,
                   Instant now) {
  const Format& format = group->group.format;
  auto batch = describe(format, open.entries, std::move(open.shrunk));
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
    if (format.hash_body) batch->body_hash = sha256(*batch->body);
  }
  submit(group, std::move(batch), std::move(open.entries), destinations, now, open.shrinking);
  open = OpenBatch{};
}

void Freezer::freeze(const PlannedGroupPtr& group, std::span<const stage::EntryRef> entries,
                     std::uint64_t destinations, Instant now) {
  OpenBatch open;
  for (const stage::EntryRef& ref : entries) {
    if (!fits(open, *ref.entry, *group)) seal(group, open, destinations, now);
    open.add(ref);
  }
  if (!open.entries.empty()) seal(group, open, destinations, now);
}

void Freezer::freeze_shrunk(const PlannedGroupPtr& group, stage::EntryRef ref,
                            std::uint64_t destinations, Shrinking shrinking, Instant sealed_at) {
  OpenBatch open;
  open.add(ref);
  open.shrinking = shrinking;
  const Encoder& encoder = *group->group.format.encoder;
  auto smaller = std::make_shared<ByteBuffer>();
  if (encoder.shrink != nullptr &&
      encoder.shrink(ref.entry->encoded(), shrinking.bytes_max, *smaller)) {
    open.shrunk = std::move(smaller);
  }
  seal(group, open, destinations, sealed_at);
}

void Freezer::submit_frozen(const PlannedGroupPtr& group, std::vector<stage::EntryRef> entries,
                            std::string body, std::uint64_t destinations, Instant sealed_at) {
  const Format& format = group->group.format;
  auto batch = describe(format, entries);
  batch->body = std::make_shared<const std::string>(std::move(body));
  if (format.hash_body) batch->body_hash = sha256(*batch->body);
  submit(group, std::move(batch), std::move(entries), destinations, sealed_at);
}

void Freezer::submit(const PlannedGroupPtr& group, std::shared_ptr<const Batch> batch,
                     std::vector<stage::EntryRef> entries, std::uint64_t destinations,
                     Instant sealed_at, Shrinking shrinking) {
  auto sealed = std::make_shared<SealedBatch>();
  sealed->group = group;
  sealed->destinations = destinations;
  sealed->sealed_at = sealed_at;
  sealed->body_bytes = (batch->body == nullptr ? 0 : batch->body->size()) +
                       (batch->shrunk == nullptr ? 0 : batch->shrunk->capacity());
  sealed->shrinking = shrinking;
  sealed->number = fates_.batch(group->slot, batch->uncompressed_bytes, shrinking.attempt, entries);
  sealed->body_bytes_total = &body_bytes_total_;
  body_bytes_total_.fetch_add(sealed->body_bytes, std::memory_order_relaxed);
  sealed->batch = std::move(batch);
  sealed->entries = std::move(entries);
  submit_(std::move(sealed));
}

}  // namespace sidecast
