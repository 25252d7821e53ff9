// sidecast ring: what stands in the ring directory now, and one unread record decoded. Looks only:
// it takes no lock and moves no cursor, whether or not an engine runs.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "engine/base/json_writer.h"
#include "engine/base/result.h"
#include "shm/reader.h"
#include "shm/record.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/record_text.h"
#include "tools/sidecast/ring_place.h"
#include "tools/sidecast/table.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

constexpr std::size_t kNameBytesMax = 48;
constexpr std::size_t kReasonBytesMax = 200;

struct RingOptions {
  RingPlace place;
  bool json = false;
  // Of dump.
  std::string ring;                   // a file name or the beginning of one
  std::optional<std::uint32_t> lane;  // none: the first that holds something
  std::uint64_t record = 0;
  bool show_content = false;
};

using Rings = std::vector<std::shared_ptr<shm::Ring>>;

Result<std::unique_ptr<shm::RingDirectory>> open_for_looking(const RingPlace& place) {
  const Result<std::string> ring_dir = find_ring_dir(place);
  if (!ring_dir) return fail(ring_dir.error());
  std::string reason;
  auto directory = shm::RingDirectory::open(*ring_dir, reason, shm::Access::kObserver);
  if (directory == nullptr) return fail(std::move(reason));
  return directory;
}

// ---- ls

// Retired comes first: an engine that took the ring holds its lock and would look like an owner.
std::string_view state_of(const shm::Ring& ring) {
  if (ring.is_retired()) return "retired";
  switch (ring.owner()) {
    case shm::OwnerState::kAlive:
      return "live";
    case shm::OwnerState::kDead:
      return "dead";
    case shm::OwnerState::kUnknown:
      break;
  }
  return "unknown";
}

double fill_of(const shm::RingInfo& info, const shm::RingCounters& counts) {
  return static_cast<double>(counts.used_bytes) / static_cast<double>(info.capacity_bytes);
}

std::string rings_json(const shm::RingDirectory& directory, const Rings& rings) {
  ByteBuffer buffer;
  JsonWriter json(buffer);
  json.begin_object().key("rings").begin_array();
  for (const auto& ring : rings) {
    const shm::RingInfo& info = ring->info();
    const shm::RingCounters counts = ring->counters();
    json.begin_object();
    json.key("file").string(info.file_name);
    json.key("state").string(state_of(*ring));
    json.key("pid").integer(info.pid);
    json.key("process").string(info.process);
    json.key("owner_uid").unsigned_integer(info.owner_uid);
    json.key("created_ns").integer(info.created_ns);
    json.key("lanes").unsigned_integer(info.lanes);
    json.key("capacity_bytes").unsigned_integer(info.capacity_bytes);
    json.key("used_bytes").unsigned_integer(counts.used_bytes);
    json.key("fill").number(fill_of(info, counts));
    json.key("used_bytes_max").unsigned_integer(counts.used_bytes_max);
    json.key("written").unsigned_integer(counts.written);
    json.key("shed").unsigned_integer(counts.shed);
    json.key("dropped").begin_object();
    json.key("full").unsigned_integer(counts.dropped_full);
    json.key("busy").unsigned_integer(counts.dropped_busy);
    json.key("too_large").unsigned_integer(counts.dropped_too_large);
    json.end_object().end_object();
  }
  json.end_array().key("set_aside").begin_array();
  for (const auto& [file_name, reason] : directory.quarantined()) {
    json.begin_object();
    // A file's name is whatever its maker wanted.
    json.key("file").string(printable(file_name, file_name.size()));
    json.key("reason").string(reason).end_object();
  }
  json.end_array().end_object();
  return std::string(buffer.view());
}

std::string rings_table(const shm::RingDirectory& directory, const Rings& rings,
                        const Style& style) {
  Table table({{"RING", Align::kLeft},
               {"OF", Align::kLeft},
               {"PID"},
               {"STATE", Align::kLeft},
               {"LANES"},
               {"SIZE"},
               {"USED"},
               {"FILL"},
               {"MOST USED"},
               {"WRITTEN"},
               {"SHED"},
               {"FULL"},
               {"BUSY"},
               {"TOO LARGE"}});
  const auto loss = [](std::uint64_t count) {
    return Cell{human_count(count), count == 0 ? Tone::kPlain : Tone::kBad};
  };
  for (const auto& ring : rings) {
    const shm::RingInfo& info = ring->info();
    const shm::RingCounters counts = ring->counters();
    const std::string_view state = state_of(*ring);
    table.add_row({{info.file_name},
                   {printable(info.process, kNameBytesMax)},
                   {std::to_string(info.pid)},
                   {std::string(state), state == "live" ? Tone::kGood : Tone::kWarn},
                   {human_count(info.lanes)},
                   {human_bytes(info.capacity_bytes)},
                   {human_bytes(counts.used_bytes)},
                   {fmt::format("{:.0f} %", 100 * fill_of(info, counts))},
                   {human_bytes(counts.used_bytes_max)},
                   {human_count(counts.written)},
                   {human_count(counts.shed), counts.shed == 0 ? Tone::kPlain : Tone::kWarn},
                   loss(counts.dropped_full),
                   loss(counts.dropped_busy),
                   loss(counts.dropped_too_large)});
  }
  std::string out = rings.empty() ? "no rings in " + directory.path() + "\n" : table.render(style);
  for (const auto& [file_name, reason] : directory.quarantined()) {
    out += fmt::format("{} {}: {}\n", style.warn("set aside"), printable(file_name, kNameBytesMax),
                       printable(reason, kReasonBytesMax));
  }
  return out;
}

int list_rings(const RingOptions& options) {
  const auto directory = open_for_looking(options.place);
  if (!directory) {
    print_error("ring ls: " + directory.error().message());
    return kExitFailed;
  }
  const Rings rings = (*directory)->discover();
  fmt::print("{}", options.json ? rings_json(**directory, rings) + "\n"
                                : rings_table(**directory, rings, Style(stdout)));
  return kExitDone;
}

// ---- dump

Result<std::shared_ptr<shm::Ring>> find_ring(const Rings& rings, const std::string& wanted) {
  std::shared_ptr<shm::Ring> found;
  for (const auto& ring : rings) {
    if (!ring->info().file_name.starts_with(wanted)) continue;
    if (found != nullptr) return fail("'" + wanted + "' begins the name of several rings");
    found = ring;
  }
  if (found == nullptr) return fail("no ring's name begins with '" + wanted + "'; see ring ls");
  return found;
}

// The wanted record's bytes, copied out while the engine may be reading the same lane.
Result<std::string> copy_record(shm::Ring& ring, std::uint32_t lane, std::uint64_t record) {
  shm::LaneCursor cursor = ring.released(lane);
  std::string bytes;
  for (std::uint64_t unread = 0; unread <= record; ++unread) {
    switch (ring.peek(lane, cursor, bytes)) {
      case shm::PeekStatus::kRecord:
        break;
      case shm::PeekStatus::kEmpty:
        return fail(fmt::format("lane {} holds {}, counted from 0", lane,
                                human_count(unread, "unread record")));
      case shm::PeekStatus::kHostile:
        return fail(
            fmt::format("lane {}: unread record {} was overwritten meanwhile, or its "
                        "length cannot be true",
                        lane, unread));
      case shm::PeekStatus::kGone:
        return fail("the ring's file was truncated");
    }
  }
  return bytes;
}

std::uint32_t first_lane_in_use(shm::Ring& ring) {
  std::string bytes;
  for (std::uint32_t lane = 0; lane < ring.info().lanes; ++lane) {
    shm::LaneCursor cursor = ring.released(lane);
    if (ring.peek(lane, cursor, bytes) != shm::PeekStatus::kEmpty) return lane;
  }
  return 0;
}

Result<std::string> dump_record(const RingOptions& options) {
  auto directory = open_for_looking(options.place);
  if (!directory) return fail(std::move(directory.error()));
  auto ring = find_ring((*directory)->discover(), options.ring);
  if (!ring) return fail(std::move(ring.error()));
  const shm::RingInfo& info = (*ring)->info();
  const std::uint32_t lane = options.lane.value_or(first_lane_in_use(**ring));
  if (lane >= info.lanes) return fail(fmt::format("the ring has {} lanes, from 0", info.lanes));
  auto bytes = copy_record(**ring, lane, options.record);
  if (!bytes) return fail(std::move(bytes.error()));
  shm::RecordView view;
  if (const auto error = shm::parse_record(*bytes, view); error != shm::RecordError::kNone) {
    return fail(fmt::format("lane {}, unread record {} is malformed: {}", lane, options.record,
                            shm::describe(error)));
  }
  const RecordPlace place{
      .ring = info.file_name, .lane = lane, .record = options.record, .size_bytes = bytes->size()};
  return options.json ? record_json(place, view, options.show_content) + "\n"
                      : record_lines(place, view, options.show_content, Style(stdout));
}

int show_record(const RingOptions& options) {
  const Result<std::string> text = dump_record(options);
  if (!text) {
    print_error("ring dump: " + text.error().message());
    return kExitFailed;
  }
  fmt::print("{}", *text);
  return kExitDone;
}

}  // namespace

void add_ring(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<RingOptions>();
  CLI::App* const command =
      app.add_subcommand("ring", "Look at the rings of live and dead gateways; changes nothing");
  command->require_subcommand(1);

  CLI::App* const list = command->add_subcommand("ls",
                                                 "List rings: whose, alive or not, how full, what "
                                                 "was written, shed and dropped; and what was\n"
                                                 "set aside as no sound ring, with the reason.");
  add_ring_place(*list, options->place);
  list->add_flag("--json", options->json, "One JSON object");
  list->callback([options, &exit_code] { exit_code = list_rings(*options); });

  CLI::App* const dump = command->add_subcommand(
      "dump", "Decode one unread record in full; content is redacted unless asked for.");
  dump->add_option("ring", options->ring, "The ring's file name, or the beginning of it")
      ->required();
  dump->add_option("--lane", options->lane, "Lane; else the first that holds something unread");
  dump->add_option("--record", options->record, "Which of the lane's unread records, 0 = oldest");
  add_ring_place(*dump, options->place);
  dump->add_flag("--show-content", options->show_content,
                 "Show bodies, attributes and error messages as well");
  dump->add_flag("--json", options->json, "One JSON object");
  dump->callback([options, &exit_code] { exit_code = show_record(*options); });
}

}  // namespace sidecast
