// sidecast spool ls.
#include <algorithm>
#include <map>
#include <string>

#include <fmt/format.h>

#include "engine/base/clock.h"
#include "engine/base/json_writer.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/spool.h"
#include "tools/sidecast/table.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

constexpr std::size_t kTextBytesMax = 60;

struct Sum {
  std::uint64_t batches = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::int64_t oldest_ns = 0;  // 0 = none
  void add(const spool::FrameHead& head) {
    ++batches;
    records += head.record_count;
    bytes += head.size_bytes;
    oldest_ns = oldest_ns == 0 ? head.sealed_ns : std::min(oldest_ns, head.sealed_ns);
  }
};

struct Name {
  std::string name;
  std::string type;
  std::string identity;
  // NOLINTNEXTLINE(modernize-use-nullptr): what the compiler makes of it compares with 0
  auto operator<=>(const Name&) const = default;
};

std::string file_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

double age_s(std::int64_t oldest_ns, Timestamp now) {
  if (oldest_ns == 0) return 0;
  return std::chrono::duration<double>(now - timestamp_from_ns(oldest_ns)).count();
}

Sum sum_of(const SpoolSegment& segment) {
  Sum sum;
  for (const auto& frame : segment.scan.frames) {
    if (segment.waiting(frame) != 0) sum.add(frame.head);
  }
  return sum;
}

std::map<Name, Sum> by_destination(const std::vector<SpoolSegment>& segments) {
  std::map<Name, Sum> sums;
  for (const SpoolSegment& segment : segments) {
    for (const auto& frame : segment.scan.frames) {
      const std::uint64_t waiting = segment.waiting(frame);
      for (std::size_t i = 0; i < frame.head.destinations.size(); ++i) {
        if ((waiting >> i & 1U) == 0) continue;
        const spool::DestinationName& name = frame.head.destinations[i];
        sums[{printable(spool::name_of(name), kTextBytesMax),
              printable(spool::type_of(name), kTextBytesMax),
              printable(spool::identity_of(name), kTextBytesMax)}]
            .add(frame.head);
      }
    }
  }
  return sums;
}

void write_sum(JsonWriter& json, const Sum& sum, Timestamp now) {
  json.key("batches").unsigned_integer(sum.batches);
  json.key("records").unsigned_integer(sum.records);
  json.key("bytes").unsigned_integer(sum.bytes);
  json.key("age_s").number(age_s(sum.oldest_ns, now));
}

std::string spool_json(const std::vector<SpoolSegment>& segments, Timestamp now) {
  ByteBuffer buffer;
  JsonWriter json(buffer);
  json.begin_object().key("segments").begin_array();
  for (const SpoolSegment& segment : segments) {
    json.begin_object().key("file").string(printable(file_name(segment.path), kTextBytesMax));
    if (segment.file == nullptr) {
      json.key("flaw").string(printable(segment.flaw, segment.flaw.size())).end_object();
      continue;
    }
    json.key("file_bytes").unsigned_integer(segment.file->file_bytes());
    json.key("created_ns").integer(segment.file->created_ns());
    write_sum(json, sum_of(segment), now);
    json.key("flaws").unsigned_integer(segment.scan.flaws.size());
    json.end_object();
  }
  json.end_array().key("destinations").begin_array();
  for (const auto& [name, sum] : by_destination(segments)) {
    json.begin_object();
    json.key("name").string(name.name);
    json.key("type").string(name.type);
    json.key("identity").string(name.identity);
    write_sum(json, sum, now);
    json.end_object();
  }
  json.end_array().end_object();
  return std::string(buffer.view());
}

std::string spool_tables(const std::vector<SpoolSegment>& segments, Timestamp now,
                         const Style& style) {
  Table files({{"SEGMENT", Align::kLeft},
               {"SIZE"},
               {"BATCHES"},
               {"RECORDS"},
               {"WAITING"},
               {"OLDEST"},
               {"FLAWS"}});
  std::string flaws;
  for (const SpoolSegment& segment : segments) {
    if (segment.file == nullptr) {
      flaws += fmt::format("{} {}\n", style.bad(segment.is_damaged ? "damaged" : "not read"),
                           printable(segment.flaw, 300));
      continue;
    }
    const Sum sum = sum_of(segment);
    const std::size_t flaw_count = segment.scan.flaws.size();
    files.add_row({{printable(file_name(segment.path), kTextBytesMax)},
                   {human_bytes(segment.file->file_bytes())},
                   {human_count(sum.batches)},
                   {human_count(sum.records)},
                   {human_bytes(sum.bytes)},
                   {human_seconds(age_s(sum.oldest_ns, now))},
                   {human_count(flaw_count), flaw_count == 0 ? Tone::kPlain : Tone::kBad}});
  }
  Table names({{"DESTINATION", Align::kLeft},
               {"TYPE", Align::kLeft},
               {"BATCHES"},
               {"RECORDS"},
               {"BYTES"},
               {"OLDEST"}});
  for (const auto& [name, sum] : by_destination(segments)) {
    names.add_row({{name.name},
                   {name.type},
                   {human_count(sum.batches)},
                   {human_count(sum.records)},
                   {human_bytes(sum.bytes)},
                   {human_seconds(age_s(sum.oldest_ns, now))}});
  }
  std::string out = files.is_empty() ? "nothing waits on disk\n" : files.render(style);
  if (!names.is_empty()) out += "\n" + names.render(style);
  return out + flaws;
}

}  // namespace

int list_spool(const SpoolOptions& options) {
  const auto directory = find_spool_dir(options);
  if (!directory) {
    print_error("spool ls: " + directory.error().message());
    return kExitUsage;
  }
  const auto segments = read_spool(*directory, spool::SegmentFile::Access::kRead);
  if (!segments) {
    print_error("spool ls: " + segments.error().message());
    return kExitFailed;
  }
  fmt::print("{}", options.json ? spool_json(*segments, wall_now()) + "\n"
                                : spool_tables(*segments, wall_now(), Style(stdout)));
  return kExitDone;
}

}  // namespace sidecast
