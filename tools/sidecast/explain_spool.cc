#include "tools/sidecast/explain_spool.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "engine/model/ids.h"
#include "engine/spool/layout.h"
#include "tools/sidecast/spool.h"

namespace sidecast {
namespace {

using spool::SegmentFile;

// How an id may stand in a batch's index.
struct Wanted {
  std::string generation;
  std::vector<TraceId> traces;

  [[nodiscard]] bool is(const stage::EntryFields& fields) const {
    return fields.generation_id == generation ||
           std::find(traces.begin(), traces.end(), fields.trace_id) != traces.end();
  }
  // Cheap, and sure only when it says no.
  [[nodiscard]] bool may_be_in(Bytes index) const {
    return index.find(generation) != Bytes::npos ||
           std::any_of(traces.begin(), traces.end(), [&](const TraceId& trace) {
             return index.find({reinterpret_cast<const char*>(&trace), sizeof trace}) !=
                    Bytes::npos;
           });
  }
};

// Of a frame: its records' fields and texts, without the body.
Result<std::string> read_index(const SegmentFile& file, const SegmentFile::Found& found) {
  const auto head = file.read(found.offset, sizeof(spool::FrameHeader));
  if (!head) return fail(head.error());
  spool::FrameHeader header{};
  std::memcpy(&header, head->data(), sizeof header);
  const std::uint64_t names =
      std::uint64_t{header.destination_count} * sizeof(spool::DestinationName);
  const std::uint64_t index = std::uint64_t{header.record_count} * sizeof(spool::RecordIndex);
  return file.read(found.offset + sizeof header + names, index + header.text_bytes);
}

fates::RecordStory& story_of(fates::Explanation& explanation, const spool::FrameRecord& record,
                             std::vector<std::array<unsigned char, 16>>& rings) {
  const stage::EntryFields& fields = record.fields;
  for (std::size_t i = 0; i < explanation.records.size(); ++i) {
    const fates::RecordBody& body = explanation.records[i].record.body;
    if (rings[i] == fields.ring && body.lane == fields.lane && body.sequence == fields.sequence) {
      return explanation.records[i];
    }
  }
  fates::RecordStory story;
  story.is_arrival_known = false;
  story.record.generation_id = std::string(fields.generation_id);
  story.record.account = std::string(fields.account);
  std::memcpy(story.record.body.trace_id.data(), &fields.trace_id, sizeof fields.trace_id);
  story.record.body.sequence = fields.sequence;
  story.record.body.lane = fields.lane;
  story.record.body.span_bytes = record.encoded_bytes;
  if (fields.is_shrunk) story.record.body.flags = fates::kShrunk;
  rings.push_back(fields.ring);
  return explanation.records.emplace_back(std::move(story));
}

}  // namespace

void add_spooled(fates::Explanation& explanation, const std::string& directory, Text id,
                 std::size_t records_max) {
  const auto segments = read_spool(directory, SegmentFile::Access::kRead);
  if (!segments) return;
  Wanted wanted{.generation = std::string(id), .traces = {hash_trace_id(id)}};
  if (const auto as_sent = parse_trace_id(id)) wanted.traces.push_back(*as_sent);
  std::vector<std::array<unsigned char, 16>> rings;
  for (const SpoolSegment& segment : *segments) {
    for (const SegmentFile::Found& found : segment.scan.frames) {
      const auto index = read_index(*segment.file, found);
      if (!index || !wanted.may_be_in(*index)) continue;
      const auto whole = segment.file->read(found.offset, found.head.size_bytes);
      if (!whole) continue;
      const auto frame = spool::parse_frame(*whole, segment.file->id(), found.offset);
      if (!frame) continue;
      const std::vector<std::string> waiting = waiting_names(segment, found);
      for (const spool::FrameRecord& record : frame->records) {
        if (!wanted.is(record.fields)) continue;
        if (explanation.records.size() >= records_max) {
          ++explanation.records_left_out;
          continue;
        }
        fates::RecordStory& story = story_of(explanation, record, rings);
        for (const spool::DestinationName& destination : found.head.destinations) {
          const std::string name(spool::name_of(destination));
          const bool waits = std::find(waiting.begin(), waiting.end(), name) != waiting.end();
          story.destinations.push_back(
              {.name = name,
               .decision = "routed",
               .fate = waits ? "spooled" : "unknown",
               .why = waits ? fmt::format("waits on disk, in {}; see 'sidecast spool ls'",
                                          segment.path)
                            : "it was spooled and has met its end; how is no longer kept",
               .steps = {}});
        }
      }
    }
  }
}

}  // namespace sidecast
