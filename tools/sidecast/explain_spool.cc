#include "tools/sidecast/explain_spool.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "engine/base/clock.h"
#include "engine/base/json_writer.h"
#include "engine/fates/layout.h"
#include "engine/model/ids.h"
#include "engine/spool/layout.h"
#include "tools/sidecast/spool.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

using spool::SegmentFile;

constexpr std::uint64_t kBatchBytesMax = 256ULL << 20U;  // as it lies there, and uncompressed
// Records beyond the limit that are told apart, so that each is counted once.
constexpr std::size_t kCountedMax = 200'000;
constexpr std::size_t kDestinationsMax = 1'000;  // of one record

std::string in_json(const std::string& text) {
  ByteBuffer buffer;
  JsonWriter(buffer).string(text);
  return std::string(buffer.view());
}

// How an id may stand in a batch's index, and a session's in its body.
struct Wanted {
  std::string id;
  std::vector<TraceId> traces;
  std::string member;   // as the value of a JSON member
  std::string escaped;  // and in a text that is such a value itself
  std::string field;    // as a string field of protobuf

  explicit Wanted(const std::string& text) : id(text), traces{hash_trace_id(text)} {
    if (const auto as_sent = parse_trace_id(text)) traces.push_back(*as_sent);
    member = ":" + in_json(text);
    escaped = in_json(member);
    escaped = escaped.substr(1, escaped.size() - 2);
    std::size_t size = text.size();
    for (; size >= 0x80; size >>= 7U) field += static_cast<char>((size & 0x7FU) | 0x80U);
    field += static_cast<char>(size);
    field += text;
  }
  [[nodiscard]] bool is(const std::string& generation, const TraceId& trace) const {
    return generation == id || std::find(traces.begin(), traces.end(), trace) != traces.end();
  }
  // Cheap, and sure only when it says no.
  [[nodiscard]] bool may_be_in(Bytes index) const {
    return index.find(id) != Bytes::npos ||
           std::any_of(traces.begin(), traces.end(), [&](const TraceId& trace) {
             return index.find({reinterpret_cast<const char*>(&trace), sizeof trace}) !=
                    Bytes::npos;
           });
  }
  // As a whole value of whatever attribute, in either encoding.
  [[nodiscard]] bool is_value_in(Bytes record) const {
    return record.find(member) != Bytes::npos || record.find(field) != Bytes::npos ||
           record.find(escaped) != Bytes::npos;
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
  if (index + header.text_bytes > kBatchBytesMax) return fail("its index is too large");
  return file.read(found.offset + sizeof header + names, index + header.text_bytes);
}

std::string known_key(Text generation, std::uint64_t lane, std::uint64_t sequence) {
  return fmt::format("{}/{}/{}", lane, sequence, generation.substr(0, fates::kGenerationBytesMax));
}

class Searcher {
 public:
  Searcher(fates::Explanation& explanation, const SpoolSearch& search)
      : explanation_(explanation),
        search_(search),
        wanted_(search.id),
        deadline_(monotonic_now() + search.time_max) {
    for (const fates::RecordStory& story : explanation.records) {
      const fates::RecordBody& body = story.record.body;
      known_.emplace(known_key(story.record.generation_id, body.lane, body.sequence), kNoStory);
    }
  }

  void run() {
    const auto paths = spool::files_of(search_.directory, ".spool");
    if (!paths) return note("the spool was not searched: " + paths.error().message());
    paths_ = *paths;
    std::reverse(paths_.begin(), paths_.end());  // the newest first
    // Whatever is known is a session's when neither id of a record is the one asked for.
    const auto& records = explanation_.records;
    const bool is_session =
        !records.empty() && std::none_of(records.begin(), records.end(), [&](const auto& story) {
          return wanted_.is(story.record.generation_id, TraceId{story.record.body.trace_id});
        });
    if (!is_session) look(false);
    if (explanation_.records.empty() || (is_session && search_.with_bodies)) {
      look(true);
    } else if (is_session && !paths_.empty()) {
      note("older records of the session may wait on disk; --spool looks into every batch there");
    }
  }

 private:
  static constexpr std::size_t kNoStory = std::numeric_limits<std::size_t>::max();

  void note(const std::string& text) {
    auto& notes = explanation_.notes;
    if (std::find(notes.begin(), notes.end(), text) == notes.end()) notes.push_back(text);
  }

  void look(bool in_bodies) {
    std::uint64_t batches_skipped = 0;
    std::size_t unread = 0;
    const std::size_t told = explanation_.records.size();
    for (std::size_t i = 0; i < paths_.size(); ++i) {
      if (is_late(i, in_bodies)) return;
      auto file = SegmentFile::open(paths_[i], SegmentFile::Access::kRead);
      auto scan = file ? (*file)->scan() : fail(file.error());
      if (!scan) {
        ++unread;
        continue;
      }
      SpoolSegment segment;
      segment.path = paths_[i];
      segment.file = *std::move(file);
      segment.scan = *std::move(scan);
      segment.done = segment.file->read_done();
      const auto& frames = segment.scan.frames;
      for (auto found = frames.rbegin(); found != frames.rend(); ++found) {
        if (is_late(i, in_bodies)) return;
        const bool is_searched =
            in_bodies ? look_into_body(segment, *found) : look_into_index(segment, *found);
        if (!is_searched) ++batches_skipped;
      }
    }
    if (in_bodies && explanation_.records.size() > told) {
      note("found on disk by a value in what is to be sent: no index there has session ids");
    }
    if (unread > 0) {
      note(fmt::format("{} of the spool could not be read; see 'sidecast spool check'",
                       human_count(unread, "segment")));
    }
    if (batches_skipped > 0) {
      note(fmt::format("{} damaged or larger than {}, and not searched",
                       batches_skipped == 1
                           ? "1 batch of the spool is"
                           : human_count(batches_skipped) + " batches of the spool are",
                       human_bytes(kBatchBytesMax)));
    }
  }

  // Whether the time is up, which is then told.
  bool is_late(std::size_t segments_done, bool in_bodies) {
    if (monotonic_now() < deadline_) return false;
    const std::chrono::duration<double> time_max = search_.time_max;
    note(fmt::format(
        "the search of the spool for {} was cut after {}: {} of {} were searched; "
        "--spool-seconds gives it more",
        in_bodies ? "a session" : "a generation or trace", human_seconds(time_max.count()),
        segments_done, human_count(paths_.size(), "segment")));
    return true;
  }

  // These two: false when they could not.
  bool look_into_index(const SpoolSegment& segment, const SegmentFile::Found& found) {
    const auto index = read_index(*segment.file, found);
    if (!index) return false;
    if (!wanted_.may_be_in(*index)) return true;
    return with_frame(segment, found, [&](const spool::Frame& frame) {
      add_all(segment, found, frame, [&](std::size_t i) {
        const stage::EntryFields& fields = frame.records[i].fields;
        return wanted_.is(std::string(fields.generation_id), fields.trace_id);
      });
      return true;
    });
  }
  bool look_into_body(const SpoolSegment& segment, const SegmentFile::Found& found) {
    return with_frame(segment, found, [&](const spool::Frame& frame) {
      std::string plain;
      const auto records = spool::cut_body(frame, plain);
      if (!records) return false;
      if (!wanted_.is_value_in(plain)) return true;
      add_all(segment, found, frame,
              [&](std::size_t i) { return wanted_.is_value_in((*records)[i]); });
      return true;
    });
  }

  template <typename Look>
  bool with_frame(const SpoolSegment& segment, const SegmentFile::Found& found, const Look& look) {
    if (found.head.size_bytes > kBatchBytesMax || found.head.records_bytes > kBatchBytesMax) {
      return false;
    }
    const auto whole = segment.file->read(found.offset, found.head.size_bytes);
    if (!whole) return false;
    const auto frame = spool::parse_frame(*whole, segment.file->id(), found.offset);
    return frame && look(*frame);
  }

  template <typename IsWanted>
  void add_all(const SpoolSegment& segment, const SegmentFile::Found& found,
               const spool::Frame& frame, const IsWanted& is_wanted) {
    const std::vector<std::string> waiting = waiting_names(segment, found);
    for (std::size_t i = frame.records.size(); i-- > 0;) {
      if (!is_wanted(i)) continue;
      fates::RecordStory* const story = story_of(frame.records[i]);
      if (story == nullptr) continue;
      for (const spool::DestinationName& one : found.head.destinations) {
        const std::string name(spool::name_of(one));
        tell(*story, name, std::find(waiting.begin(), waiting.end(), name) != waiting.end(),
             segment.path);
      }
    }
  }

  // Nothing when it is told of without the spool, or is one too many.
  fates::RecordStory* story_of(const spool::FrameRecord& record) {
    const stage::EntryFields& fields = record.fields;
    if (known_.contains(known_key(fields.generation_id, fields.lane, fields.sequence))) {
      return nullptr;
    }
    const std::string key = fmt::format(
        "{}/{}/{}", to_hex({reinterpret_cast<const char*>(fields.ring.data()), fields.ring.size()}),
        fields.lane, fields.sequence);
    const auto there = stories_.find(key);
    if (there != stories_.end()) {
      return there->second == kNoStory ? nullptr : &explanation_.records[there->second];
    }
    if (explanation_.records.size() >= search_.records_max) {
      ++explanation_.records_left_out;
      if (stories_.size() < search_.records_max + kCountedMax) stories_.emplace(key, kNoStory);
      return nullptr;
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
    stories_.emplace(key, explanation_.records.size());
    return &explanation_.records.emplace_back(std::move(story));
  }

  static void tell(fates::RecordStory& story, const std::string& name, bool waits,
                   const std::string& path) {
    const auto told = std::find_if(story.destinations.begin(), story.destinations.end(),
                                   [&](const auto& one) { return one.name == name; });
    if (told != story.destinations.end() && (!waits || told->fate == "spooled")) return;
    if (told == story.destinations.end() && story.destinations.size() >= kDestinationsMax) return;
    const fates::DestinationStory telling{
        .name = name,
        .decision = "routed",
        .fate = waits ? "spooled" : "unknown",
        .why = waits ? fmt::format("waits on disk, in {}; see 'sidecast spool ls'", path)
                     : "it was spooled and has met its end; how is no longer kept",
        .steps = {}};
    if (told != story.destinations.end()) {
      *told = telling;
    } else {
      story.destinations.push_back(telling);
    }
  }

  fates::Explanation& explanation_;
  const SpoolSearch& search_;
  Wanted wanted_;
  Instant deadline_;
  std::vector<std::string> paths_;
  std::unordered_map<std::string, std::size_t> known_;    // told of without the spool
  std::unordered_map<std::string, std::size_t> stories_;  // place in the explanation
};

}  // namespace

void add_spooled(fates::Explanation& explanation, const SpoolSearch& search) {
  Searcher(explanation, search).run();
}

}  // namespace sidecast
