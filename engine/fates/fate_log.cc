#include "engine/fates/fate_log.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include <xxhash.h>

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/utf8.h"

namespace sidecast::fates {
namespace {

std::size_t aligned(std::size_t size) noexcept {
  return (size + kAlignment - 1) & ~(kAlignment - 1);
}

std::int64_t now_ns() noexcept {
  return unix_ns(wall_now());
}

char* put(char* to, const void* from, std::size_t size) noexcept {
  std::memcpy(to, from, size);
  return to + size;
}

char* put(char* to, Text text) noexcept {
  return text.empty() ? to : put(to, text.data(), text.size());
}

template <typename To>
To clamped(std::int64_t value) noexcept {
  return static_cast<To>(std::clamp<std::int64_t>(value, std::numeric_limits<To>::min(),
                                                  std::numeric_limits<To>::max()));
}

}  // namespace

std::uint64_t record_key(const std::array<unsigned char, 16>& ring, std::uint32_t lane,
                         std::uint64_t sequence, std::uint64_t seed) noexcept {
  const std::uint64_t place[2] = {lane, sequence};
  char bytes[sizeof ring + sizeof place];
  std::memcpy(bytes, ring.data(), sizeof ring);
  std::memcpy(bytes + sizeof ring, place, sizeof place);
  return XXH3_64bits_withSeed(bytes, sizeof bytes, seed);
}

std::uint64_t id_hash(Text id, std::uint64_t seed) noexcept {
  return id.empty() ? 0 : XXH3_64bits_withSeed(id.data(), id.size(), seed);
}

std::uint32_t checksum_of(const EventHeader& header, Bytes body, std::uint64_t seed) noexcept {
  const std::uint64_t shape =
      std::uint64_t{header.words} << 8U | static_cast<std::uint64_t>(header.kind);
  return static_cast<std::uint32_t>(
      XXH3_64bits_withSeed(body.data(), body.size(), seed ^ header.position ^ shape << 40U));
}

char* FateLog::begin(EventKind kind, std::size_t body_bytes) noexcept {
  const std::size_t size = aligned(sizeof(EventHeader) + body_bytes);
  const std::uint64_t capacity = header_->section_bytes;
  // relaxed: this thread is the only writer.
  std::uint64_t position = state_->head.load(std::memory_order_relaxed);
  if (position % capacity + size > capacity) position += capacity - position % capacity;
  SIDECAST_ASSERT(size <= kEventBytesMax);
  pending_ = {.position = position,
              .checksum = 0,
              .words = static_cast<std::uint16_t>(size / kAlignment),
              .kind = kind,
              .padding = 0};
  char* const at = section_ + position % capacity;
  // First, so that what is overwritten is no event any more, however far we get.
  std::memset(at, 0, sizeof(EventHeader));
  std::memset(at + size - kAlignment, 0, kAlignment);
  return at + sizeof(EventHeader);
}

void FateLog::seal() noexcept {
  char* const at = section_ + pending_.position % header_->section_bytes;
  const std::size_t size = std::size_t{pending_.words} * kAlignment;
  pending_.checksum =
      checksum_of(pending_, {at + sizeof(EventHeader), size - sizeof(EventHeader)}, header_->seed);
  std::memcpy(at, &pending_, sizeof pending_);
  // release: a reader that sees the head finds the event, unless it was overwritten since.
  state_->head.store(pending_.position + size, std::memory_order_release);
}

void FateLog::record(const RecordNote& note, std::span<const Decision> decisions) noexcept {
  if (!is_open()) return;
  const Text generation = utf8_prefix(note.generation_id, kGenerationBytesMax);
  const Text account = utf8_prefix(note.account, kAccountBytesMax);
  const Text process = utf8_prefix(note.process, kProcessBytesMax);
  const std::size_t told = std::min(decisions.size(), kDecisionsMax);
  const RecordBody body{.read_ns = now_ns(),
                        .ended_ns = note.ended_ns,
                        .record = record_key(*note.ring, note.lane, note.sequence, header_->seed),
                        .generation = id_hash(note.generation_id, header_->seed),
                        .session = id_hash(note.session_id, header_->seed),
                        .trace_text = id_hash(note.trace_id_text, header_->seed),
                        .trace_id = note.trace_id.bytes,
                        .sequence = note.sequence,
                        .span_bytes = note.span_bytes,
                        .lane = note.lane,
                        .pid = note.pid,
                        .http_status = clamped<std::int16_t>(note.http_status),
                        .flags = note.flags,
                        .generation_bytes = static_cast<std::uint8_t>(generation.size()),
                        .account_bytes = static_cast<std::uint8_t>(account.size()),
                        .process_bytes = static_cast<std::uint8_t>(process.size()),
                        .decisions = static_cast<std::uint8_t>(told),
                        .decisions_left_out = static_cast<std::uint32_t>(decisions.size() - told),
                        .padding = 0};
  char* to = begin(EventKind::kRecord, sizeof body + generation.size() + account.size() +
                                           process.size() + told * sizeof(Decision));
  to = put(to, &body, sizeof body);
  for (const Text text : {generation, account, process}) to = put(to, text);
  if (told > 0) put(to, decisions.data(), told * sizeof(Decision));
  seal();
}

std::uint64_t FateLog::batch(std::uint32_t group, std::uint64_t bytes, std::uint32_t shrink_attempt,
                             std::span<const stage::EntryRef> entries) noexcept {
  if (!is_open()) return 0;
  constexpr unsigned kSectionShift = 48;
  const std::uint64_t number = std::uint64_t{index_} << kSectionShift | ++state_->batches;
  // Never more than a quarter of a small section.
  const std::size_t keys_max =
      std::min<std::size_t>(kKeysMax, header_->section_bytes / 4 / sizeof(std::uint64_t));
  BatchBody body{.time_ns = now_ns(),
                 .batch = number,
                 .bytes = bytes,
                 .group = group,
                 .first = 0,
                 .count = 0,
                 .records = static_cast<std::uint32_t>(entries.size()),
                 .shrink_attempt = shrink_attempt,
                 .padding = 0};
  for (std::size_t first = 0; first < entries.size(); first += keys_max) {
    const auto part = entries.subspan(first, std::min(keys_max, entries.size() - first));
    body.first = static_cast<std::uint32_t>(first);
    body.count = static_cast<std::uint32_t>(part.size());
    char* to = begin(EventKind::kBatch, sizeof body + part.size() * sizeof(std::uint64_t));
    to = put(to, &body, sizeof body);
    for (const stage::EntryRef& ref : part) {
      const std::uint64_t key =
          record_key(ref.entry->ring, ref.entry->lane, ref.entry->sequence, header_->seed);
      to = put(to, &key, sizeof key);
    }
    seal();
  }
  return number;
}

BatchPart FateLog::part_of(const PartNote& part) noexcept {
  return {.time_ns = now_ns(),
          .batch = part.batch,
          .first = static_cast<std::uint32_t>(part.first),
          .count = static_cast<std::uint32_t>(part.count),
          .destination = part.destination,
          .number = 0};
}

void FateLog::sent(const PartNote& part, std::uint32_t attempt, std::uint64_t body_bytes) noexcept {
  if (!is_open()) return;
  SentBody body{.part = part_of(part), .body_bytes = body_bytes};
  body.part.number = attempt;
  put(begin(EventKind::kSent, sizeof body), &body, sizeof body);
  seal();
}

void FateLog::answered(const PartNote& part, std::uint16_t verdict, std::int64_t took_ms,
                       std::int64_t retry_ms, Text why) noexcept {
  if (!is_open()) return;
  constexpr std::size_t kWhyBytesMax = 256;
  why = utf8_prefix(why, kWhyBytesMax);
  const AnsweredBody body{.part = part_of(part),
                          .took_ms = clamped<std::uint32_t>(took_ms),
                          .retry_ms = clamped<std::int32_t>(retry_ms),
                          .verdict = verdict,
                          .text_bytes = static_cast<std::uint16_t>(why.size()),
                          .padding = 0};
  put(put(begin(EventKind::kAnswered, sizeof body + why.size()), &body, sizeof body), why);
  seal();
}

void FateLog::settled(const PartNote& part, Fate fate, std::uint8_t reason) noexcept {
  if (!is_open()) return;
  const SettledBody body{.part = part_of(part), .fate = fate, .reason = reason, .padding = {}};
  put(begin(EventKind::kSettled, sizeof body), &body, sizeof body);
  seal();
}

}  // namespace sidecast::fates
