#include "engine/spool/frame.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include <fmt/format.h>
#include <xxhash.h>

#include "exporters/compress/decompress.h"

namespace sidecast::spool {
namespace {

constexpr std::uint64_t kAlignment = 8;
constexpr std::size_t kU16Max = std::numeric_limits<std::uint16_t>::max();

std::uint64_t aligned(std::uint64_t size) noexcept {
  return (size + kAlignment - 1) & ~(kAlignment - 1);
}

template <std::size_t Size>
void store_text(std::array<char, Size>& to, std::string_view text) noexcept {
  to.fill('\0');
  std::copy_n(text.data(), std::min(text.size(), Size - 1), to.data());
}

template <std::size_t Size>
std::string_view text_of(const std::array<char, Size>& from) noexcept {
  return {from.data(),
          static_cast<std::size_t>(std::find(from.begin(), from.end(), '\0') - from.begin())};
}

std::uint64_t seed_of(std::uint64_t segment_id, std::uint64_t offset) noexcept {
  return segment_id ^ (offset * 0x9E3779B97F4A7C15ULL);
}

// `head` with a zero where its own checksum stands.
std::uint64_t head_checksum(std::string head, std::uint64_t seed) noexcept {
  std::memset(head.data() + offsetof(FrameHeader, head_checksum), 0, sizeof(std::uint64_t));
  return XXH3_64bits_withSeed(head.data(), head.size(), seed);
}

struct HashFree {
  void operator()(XXH3_state_t* state) const noexcept { XXH3_freeState(state); }
};

std::uint64_t rest_checksum(Bytes index, Bytes body, std::uint64_t seed) {
  const std::unique_ptr<XXH3_state_t, HashFree> state(XXH3_createState());
  if (state == nullptr) throw std::bad_alloc();
  XXH3_64bits_reset_withSeed(state.get(), seed);
  XXH3_64bits_update(state.get(), index.data(), index.size());
  XXH3_64bits_update(state.get(), body.data(), body.size());
  return XXH3_64bits_digest(state.get());
}

template <typename Value>
void append_value(std::string& to, const Value& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <typename Value>
Value read_value(Bytes from, std::size_t offset) noexcept {
  Value value;
  std::memcpy(&value, from.data() + offset, sizeof value);
  return value;
}

std::uint64_t names_bytes(const FrameHeader& header) noexcept {
  return sizeof(FrameHeader) + std::uint64_t{header.destination_count} * sizeof(DestinationName);
}

// What the fields of a header say of the frame's size, or nothing when they cannot be true.
std::optional<std::uint64_t> size_of(const FrameHeader& header) noexcept {
  if (header.magic != kFrameMagic || header.record_count == 0 ||
      header.record_count > kFrameRecordsMax || header.destination_count == 0 ||
      header.destination_count > kFrameDestinationsMax || header.ordinal >= kFramesMax ||
      header.compression > static_cast<std::uint8_t>(Compression::kZstd) ||
      header.records_bytes > kPlainBytesMax) {
    return std::nullopt;
  }
  const std::uint64_t size =
      aligned(names_bytes(header) + std::uint64_t{header.record_count} * sizeof(RecordIndex) +
              header.text_bytes + header.body_bytes);
  return size == header.size_bytes ? std::optional(size) : std::nullopt;
}

BodyForm form_in(const FrameHeader& header) {
  return {.frozen = (header.flags & kFrozen) != 0,
          .compression = static_cast<Compression>(header.compression),
          .prefix_bytes = header.prefix_bytes,
          .separator_bytes = header.separator_bytes,
          .suffix_bytes = header.suffix_bytes,
          .encoder = std::string(text_of(header.encoder)),
          .dialect = std::string(text_of(header.dialect)),
          .privacy = header.privacy};
}

}  // namespace

std::uint64_t privacy_mark(bool enabled, std::span<const std::string> keep) noexcept {
  if (!enabled) return 0;
  std::uint64_t mark = 1;
  for (const std::string& key : keep) mark = XXH3_64bits_withSeed(key.data(), key.size(), mark);
  return mark == 0 ? 1 : mark;
}

std::optional<BodyForm> form_of(const Group& group, bool frozen) {
  const Encoder& encoder = *group.format.encoder;
  const std::size_t prefix_bytes = group.format.prefix().size();
  const std::size_t suffix_bytes = group.format.suffix().size();
  if (std::max({prefix_bytes, encoder.separator.size(), suffix_bytes}) > kU16Max) {
    return std::nullopt;
  }
  BodyForm form{.frozen = frozen,
                .encoder = std::string(encoder.name.substr(0, sizeof(FrameHeader::encoder) - 1)),
                .dialect = std::string(
                    group.format.dialect->name.substr(0, sizeof(FrameHeader::dialect) - 1)),
                .privacy = privacy_mark(group.privacy_mode, group.privacy_keep)};
  if (frozen) {
    form.compression = group.format.compression;
    form.prefix_bytes = static_cast<std::uint16_t>(prefix_bytes);
    form.separator_bytes = static_cast<std::uint16_t>(encoder.separator.size());
    form.suffix_bytes = static_cast<std::uint16_t>(suffix_bytes);
  }
  return form;
}

DestinationName destination_name(std::string_view identity, std::string_view name,
                                 std::string_view type) noexcept {
  DestinationName destination{};
  std::copy_n(identity.data(), std::min(identity.size(), destination.identity.size()),
              destination.identity.data());
  store_text(destination.name, name);
  store_text(destination.type, type);
  return destination;
}

std::string_view identity_of(const DestinationName& destination) noexcept {
  return {destination.identity.data(), destination.identity.size()};
}
std::string_view name_of(const DestinationName& destination) noexcept {
  return text_of(destination.name);
}
std::string_view type_of(const DestinationName& destination) noexcept {
  return text_of(destination.type);
}

FrameRecord record_of(const stage::Entry& entry) noexcept {
  return {.encoded_bytes = entry.encoded_bytes,
          .fields = {.span_count = entry.span_count,
                     .trace_id = entry.trace_id,
                     .start_ns = entry.start_ns,
                     .ring = entry.ring,
                     .sequence = entry.sequence,
                     .lane = entry.lane,
                     .is_shrunk = entry.is_shrunk != 0,
                     .generation_id = entry.generation_id(),
                     .api_key_name = entry.api_key_name(),
                     .account = entry.account()}};
}

std::uint64_t frame_bytes(const NewFrame& frame) noexcept {
  std::uint64_t size = sizeof(FrameHeader) + frame.destinations.size() * sizeof(DestinationName) +
                       frame.records.size() * sizeof(RecordIndex) + frame.body.size();
  for (const FrameRecord& record : frame.records) {
    size += record.fields.generation_id.size() + record.fields.api_key_name.size() +
            record.fields.account.size();
  }
  return aligned(size);
}

std::string write_frame(const NewFrame& frame, const FramePlace& place) {
  FrameHeader header{};
  header.magic = kFrameMagic;
  header.size_bytes = static_cast<std::uint32_t>(frame_bytes(frame));
  header.ordinal = place.ordinal;
  header.flags = frame.form.frozen ? kFrozen : 0;
  header.sealed_ns = frame.sealed_ns;
  header.privacy = frame.form.privacy;
  header.record_count = static_cast<std::uint32_t>(frame.records.size());
  header.destination_count = static_cast<std::uint32_t>(frame.destinations.size());
  header.body_bytes = static_cast<std::uint32_t>(frame.body.size());
  header.prefix_bytes = frame.form.prefix_bytes;
  header.separator_bytes = frame.form.separator_bytes;
  header.suffix_bytes = frame.form.suffix_bytes;
  header.compression = static_cast<std::uint8_t>(frame.form.compression);
  store_text(header.encoder, frame.form.encoder);
  store_text(header.dialect, frame.form.dialect);

  std::string index;
  std::string texts;
  for (const FrameRecord& record : frame.records) {
    const stage::EntryFields& fields = record.fields;
    append_value(
        index,
        RecordIndex{.encoded_bytes = record.encoded_bytes,
                    .span_count = fields.span_count,
                    .trace_id = fields.trace_id,
                    .start_ns = fields.start_ns,
                    .ring = fields.ring,
                    .sequence = fields.sequence,
                    .lane = fields.lane,
                    .generation_id_bytes = static_cast<std::uint16_t>(fields.generation_id.size()),
                    .api_key_name_bytes = static_cast<std::uint16_t>(fields.api_key_name.size()),
                    .account_bytes = static_cast<std::uint16_t>(fields.account.size()),
                    .padding = 0,
                    .is_shrunk = fields.is_shrunk ? 1U : 0U});
    texts.append(fields.generation_id).append(fields.api_key_name).append(fields.account);
    header.records_bytes += record.encoded_bytes;
  }
  header.text_bytes = static_cast<std::uint32_t>(texts.size());
  index += texts;
  const std::uint64_t seed = seed_of(place.segment_id, place.offset);
  header.rest_checksum = rest_checksum(index, frame.body, seed);

  std::string bytes;
  append_value(bytes, header);
  for (const DestinationName& destination : frame.destinations) append_value(bytes, destination);
  const std::uint64_t checksum = head_checksum(bytes, seed);
  std::memcpy(bytes.data() + offsetof(FrameHeader, head_checksum), &checksum, sizeof checksum);
  return bytes + index;
}

std::optional<std::uint64_t> head_bytes(Bytes header) noexcept {
  if (header.size() < sizeof(FrameHeader)) return std::nullopt;
  const auto fields = read_value<FrameHeader>(header, 0);
  if (!size_of(fields)) return std::nullopt;
  return names_bytes(fields);
}

Result<FrameHead> parse_head(Bytes head, std::uint64_t segment_id, std::uint64_t offset) {
  const auto size = head_bytes(head);
  if (!size || head.size() < *size) return fail("no batch begins here");
  head = head.substr(0, *size);
  const auto header = read_value<FrameHeader>(head, 0);
  if (head_checksum(std::string(head), seed_of(segment_id, offset)) != header.head_checksum) {
    return fail("the checksum of a batch's head is wrong");
  }
  FrameHead parsed{.ordinal = header.ordinal,
                   .size_bytes = header.size_bytes,
                   .record_count = header.record_count,
                   .records_bytes = header.records_bytes,
                   .sealed_ns = header.sealed_ns,
                   .form = form_in(header),
                   .destinations = {}};
  for (std::uint32_t i = 0; i < header.destination_count; ++i) {
    parsed.destinations.push_back(
        read_value<DestinationName>(head, sizeof(FrameHeader) + i * sizeof(DestinationName)));
  }
  return parsed;
}

Result<Frame> parse_frame(Bytes whole, std::uint64_t segment_id, std::uint64_t offset) {
  auto head = parse_head(whole, segment_id, offset);
  if (!head) return fail(std::move(head.error()));
  if (whole.size() != head->size_bytes) return fail("a batch is cut short");
  const auto header = read_value<FrameHeader>(whole, 0);
  const std::uint64_t index_at = names_bytes(header);
  const std::uint64_t texts_at =
      index_at + std::uint64_t{header.record_count} * sizeof(RecordIndex);
  const std::uint64_t body_at = texts_at + header.text_bytes;
  Frame frame{
      .head = *std::move(head), .records = {}, .body = whole.substr(body_at, header.body_bytes)};
  if (rest_checksum(whole.substr(index_at, body_at - index_at), frame.body,
                    seed_of(segment_id, offset)) != header.rest_checksum) {
    return fail("the checksum of a batch's records is wrong");
  }
  Bytes texts = whole.substr(texts_at, header.text_bytes);
  const auto take_text = [&texts](std::uint16_t size) {
    const Bytes text = texts.substr(0, size);
    texts.remove_prefix(text.size());
    return text;
  };
  std::uint64_t total = 0;
  std::uint64_t named = 0;
  for (std::uint32_t i = 0; i < header.record_count; ++i) {
    const auto index = read_value<RecordIndex>(whole, index_at + i * sizeof(RecordIndex));
    total += index.encoded_bytes;
    named +=
        std::uint64_t{index.generation_id_bytes} + index.api_key_name_bytes + index.account_bytes;
    frame.records.push_back({.encoded_bytes = index.encoded_bytes,
                             .fields = {.span_count = index.span_count,
                                        .trace_id = index.trace_id,
                                        .start_ns = index.start_ns,
                                        .ring = index.ring,
                                        .sequence = index.sequence,
                                        .lane = index.lane,
                                        .is_shrunk = index.is_shrunk != 0,
                                        .generation_id = take_text(index.generation_id_bytes),
                                        .api_key_name = take_text(index.api_key_name_bytes),
                                        .account = take_text(index.account_bytes)}});
  }
  if (total != header.records_bytes || named != header.text_bytes) {
    return fail("a batch's index contradicts its head");
  }
  return frame;
}

Result<std::vector<Bytes>> cut_body(const Frame& frame, std::string& plain) {
  const BodyForm& form = frame.head.form;
  const std::uint64_t size = frame.head.records_bytes + form.prefix_bytes + form.suffix_bytes +
                             (frame.records.size() - 1) * std::uint64_t{form.separator_bytes};
  auto body = decompress(form.compression, frame.body, size);
  if (!body) return fail(std::move(body.error()));
  plain = *std::move(body);
  std::vector<Bytes> records;
  records.reserve(frame.records.size());
  std::size_t at = form.prefix_bytes;
  for (const FrameRecord& record : frame.records) {
    records.push_back(Bytes(plain).substr(at, record.encoded_bytes));
    at += record.encoded_bytes + form.separator_bytes;
  }
  return records;
}

}  // namespace sidecast::spool
