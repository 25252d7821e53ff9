#include "tools/sidecast/stats_text.h"

#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "engine/base/json_writer.h"
#include "tools/sidecast/table.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

constexpr std::size_t kNameBytesMax = 40;
constexpr std::size_t kErrorBytesMax = 200;

std::uint64_t sum(const ReasonCounts& counts) {
  return std::accumulate(
      counts.begin(), counts.end(), std::uint64_t{0},
      [](std::uint64_t total, const auto& count) { return total + count.second; });
}

// ---- JSON

void write_counts(JsonWriter& json,
                  std::initializer_list<std::pair<std::string_view, std::uint64_t>> counts) {
  for (const auto& [name, count] : counts) json.key(name).unsigned_integer(count);
}

void write_reasons(JsonWriter& json, std::string_view name, const ReasonCounts& counts) {
  json.key(name).begin_object();
  for (const auto& [reason, count] : counts) json.key(reason).unsigned_integer(count);
  json.end_object();
}

// Of a ring or of all records: the members have the same names.
template <typename Counts>
void write_writer_drops(JsonWriter& json, const Counts& counts) {
  json.key("dropped").begin_object();
  write_counts(json, {{"full", counts.dropped_full},
                      {"busy", counts.dropped_busy},
                      {"too_large", counts.dropped_too_large}});
  json.end_object();
}

void write_engine(JsonWriter& json, const EngineStats& engine) {
  json.begin_object();
  json.key("version").string(engine.version);
  json.key("pid").integer(engine.pid);
  json.key("state").string(engine.state);
  json.key("uptime_s").number(engine.uptime_s);
  write_counts(json, {{"memory_bytes", engine.memory_bytes},
                      {"memory_limit_bytes", engine.memory_limit_bytes},
                      {"stage_bytes", engine.stage_bytes},
                      {"ledger_mismatches", engine.ledger_mismatches}});
  json.end_object();
}

void write_records(JsonWriter& json, const RecordStats& records) {
  json.begin_object();
  write_counts(json,
               {{"calls", records.calls}, {"written", records.written}, {"shed", records.shed}});
  write_writer_drops(json, records);
  write_counts(json, {{"unread", records.unread},
                      {"read", records.read},
                      {"malformed", records.malformed},
                      {"oversized", records.oversized},
                      {"poison", records.poison},
                      {"forbidden", records.forbidden},
                      {"unrouted", records.unrouted},
                      {"routable", records.routable},
                      {"ids_cut", records.ids_cut}});
  json.end_object();
}

void write_spool(JsonWriter& json, const SpoolStats& spool) {
  if (spool.directory.empty()) {
    json.null();
    return;
  }
  json.begin_object();
  json.key("dir").string(spool.directory);
  json.key("state").string(spool.state);
  write_counts(json, {{"bytes", spool.bytes},
                      {"limit", spool.limit_bytes},
                      {"segments", spool.segments},
                      {"batches", spool.batches},
                      {"records", spool.records}});
  json.end_object();
}

void write_ring(JsonWriter& json, const RingStats& ring) {
  json.begin_object();
  json.key("file").string(ring.file_name);
  json.key("pid").integer(ring.pid);
  json.key("process").string(ring.process);
  json.key("state").string(ring.state);
  write_counts(json, {{"lanes", ring.lanes},
                      {"capacity_bytes", ring.capacity_bytes},
                      {"used_bytes", ring.used_bytes},
                      {"used_bytes_max", ring.used_bytes_max},
                      {"written", ring.written},
                      {"shed", ring.shed}});
  write_writer_drops(json, ring);
  json.end_object();
}

void write_destination(JsonWriter& json, const DestinationStats& destination) {
  json.begin_object();
  json.key("name").string(destination.name);
  json.key("type").string(destination.type);
  json.key("state").string(destination.state);
  write_counts(json, {{"matched", destination.matched},
                      {"filtered", destination.filtered},
                      {"sampled_out", destination.sampled_out},
                      {"routed", destination.routed},
                      {"delivered", destination.delivered}});
  write_reasons(json, "rejected", destination.rejected);
  write_reasons(json, "dropped", destination.dropped);
  write_counts(json, {{"pending", destination.pending},
                      {"spooled", destination.spooled},
                      {"adopted", destination.adopted},
                      {"shrunk", destination.shrunk},
                      {"rejected_spans", destination.rejected_spans},
                      {"requests", destination.requests},
                      {"retries", destination.retries},
                      {"bytes_uncompressed", destination.bytes_uncompressed},
                      {"bytes_sent", destination.bytes_sent}});
  json.key("latency_ms").begin_object();
  json.key("p50").number(destination.latency_ms_p50).key("p99").number(destination.latency_ms_p99);
  json.end_object();
  json.key("last_error").string(destination.last_error);
  json.end_object();
}

// ---- Tables

Cell text(std::string_view value) {
  return {printable(value, kNameBytesMax)};
}
Cell count(std::uint64_t value) {
  return {human_count(value)};
}
Cell bytes(std::uint64_t value) {
  return {human_bytes(value)};
}
// A count that should be zero.
Cell loss(std::uint64_t value) {
  return {human_count(value), value == 0 ? Tone::kPlain : Tone::kBad};
}
Cell caution(std::uint64_t value) {
  return {human_count(value), value == 0 ? Tone::kPlain : Tone::kWarn};
}

Cell state(std::string_view value) {
  const bool is_well = value == "ok" || value == "running" || value == "live";
  const bool is_over =
      value == "retired" || value == "stopped" || value == "stopping" || value == "removed";
  return {printable(value, kNameBytesMax), is_well   ? Tone::kGood
                                           : is_over ? Tone::kWarn
                                                     : Tone::kBad};
}

std::string engine_lines(const StatsSnapshot& stats, const Style& style) {
  const EngineStats& engine = stats.engine;
  const RecordStats& records = stats.records;
  const Cell shown = state(engine.state);
  std::string painted = shown.tone == Tone::kGood   ? style.good(shown.text)
                        : shown.tone == Tone::kWarn ? style.warn(shown.text)
                                                    : style.bad(shown.text);
  std::string out =
      fmt::format("{}   {}, pid {}, up {}, version {}, memory {} of {}, stage {}\n",
                  style.bold("engine"), painted, engine.pid, human_seconds(engine.uptime_s),
                  printable(engine.version, kNameBytesMax), human_bytes(engine.memory_bytes),
                  human_bytes(engine.memory_limit_bytes), human_bytes(engine.stage_bytes));
  out +=
      fmt::format("{}  {} calls = {} written ({} shed) + {} full + {} busy + {} too large\n",
                  style.bold("records"), human_count(records.calls), human_count(records.written),
                  human_count(records.shed), human_count(records.dropped_full),
                  human_count(records.dropped_busy), human_count(records.dropped_too_large));
  out += fmt::format("         {} written = {} unread + {} read\n", human_count(records.written),
                     human_count(records.unread), human_count(records.read));
  out += fmt::format(
      "         {} read = {} malformed + {} oversized + {} poison + {} forbidden + {} unrouted + "
      "{} "
      "routable\n",
      human_count(records.read), human_count(records.malformed), human_count(records.oversized),
      human_count(records.poison), human_count(records.forbidden), human_count(records.unrouted),
      human_count(records.routable));
  return out;
}

std::string spool_line(const StatsSnapshot& stats, const Style& style) {
  const SpoolStats& spool = stats.spool;
  if (spool.directory.empty()) return {};
  const std::string shown = spool.state == "ok" ? style.good(spool.state) : style.bad(spool.state);
  return fmt::format("{}    {}, {}, {} of {} in {}, {} batches, {}\n", style.bold("spool"), shown,
                     printable(spool.directory, kErrorBytesMax), human_bytes(spool.bytes),
                     human_bytes(spool.limit_bytes), human_count(spool.segments, "segment"),
                     human_count(spool.batches), human_count(spool.records, "record"));
}

Table ring_table(const StatsSnapshot& stats) {
  Table table({{"RING OF", Align::kLeft},
               {"PID"},
               {"STATE", Align::kLeft},
               {"LANES"},
               {"SIZE"},
               {"USED"},
               {"MOST USED"},
               {"WRITTEN"},
               {"SHED"},
               {"FULL"},
               {"BUSY"},
               {"TOO LARGE"}});
  for (const RingStats& ring : stats.rings) {
    table.add_row({text(ring.process),
                   {std::to_string(ring.pid)},
                   state(ring.state),
                   count(ring.lanes),
                   bytes(ring.capacity_bytes),
                   bytes(ring.used_bytes),
                   bytes(ring.used_bytes_max),
                   count(ring.written),
                   caution(ring.shed),
                   loss(ring.dropped_full),
                   loss(ring.dropped_busy),
                   loss(ring.dropped_too_large)});
  }
  return table;
}

Table destination_table(const StatsSnapshot& stats) {
  Table table({{"DESTINATION", Align::kLeft},
               {"TYPE", Align::kLeft},
               {"STATE", Align::kLeft},
               {"MATCHED"},
               {"FILTERED"},
               {"SAMPLED OUT"},
               {"ROUTED"},
               {"DELIVERED"},
               {"REJECTED"},
               {"DROPPED"},
               {"PENDING"},
               {"SPOOLED"}});
  const auto add = [&table](std::string_view name, const DestinationStats& d) {
    table.add_row({text(name), text(d.type), state(d.state), count(d.matched), count(d.filtered),
                   count(d.sampled_out), count(d.routed), count(d.delivered), loss(sum(d.rejected)),
                   loss(sum(d.dropped)), caution(d.pending), caution(d.spooled)});
  };
  for (const DestinationStats& d : stats.destinations) add(d.name, d);
  if (stats.retired_count > 0) {
    add(human_count(stats.retired_count) + " gone for long", stats.retired);
  }
  return table;
}

Table sending_table(const StatsSnapshot& stats) {
  Table table({{"DESTINATION", Align::kLeft},
               {"REQUESTS"},
               {"RETRIES"},
               {"UNCOMPRESSED"},
               {"SENT"},
               {"P50"},
               {"P99"}});
  for (const DestinationStats& d : stats.destinations) {
    table.add_row({text(d.name),
                   count(d.requests),
                   caution(d.retries),
                   bytes(d.bytes_uncompressed),
                   bytes(d.bytes_sent),
                   {human_seconds(d.latency_ms_p50 / 1e3)},
                   {human_seconds(d.latency_ms_p99 / 1e3)}});
  }
  return table;
}

// Why something is not delivered, one line each.
std::string loss_lines(const StatsSnapshot& stats, const Style& style) {
  std::string out;
  for (const DestinationStats& d : stats.destinations) {
    const std::string name = printable(d.name, kNameBytesMax);
    for (const auto& [word, counts] :
         {std::pair("rejected", &d.rejected), std::pair("dropped", &d.dropped)}) {
      for (const auto& [reason, number] : *counts) {
        if (number > 0)
          out += fmt::format("{}: {} {}\n", name, human_count(number),
                             style.bad(fmt::format("{}({})", word, reason)));
      }
    }
    if (d.shrunk > 0) {
      out += fmt::format("{}: {} of the delivered records had content shortened to fit\n", name,
                         human_count(d.shrunk));
    }
    if (!d.last_error.empty()) {
      out += fmt::format("{}: last error: {}\n", name,
                         style.warn(printable(d.last_error, kErrorBytesMax)));
    }
  }
  return out;
}

}  // namespace

std::string stats_json(const StatsSnapshot& stats) {
  ByteBuffer buffer;
  JsonWriter json(buffer);
  json.begin_object();
  json.key("engine");
  write_engine(json, stats.engine);
  json.key("records");
  write_records(json, stats.records);
  json.key("spool");
  write_spool(json, stats.spool);
  json.key("rings").begin_array();
  for (const RingStats& ring : stats.rings) write_ring(json, ring);
  json.end_array();
  json.key("destinations").begin_array();
  for (const DestinationStats& destination : stats.destinations)
    write_destination(json, destination);
  json.end_array();
  json.key("retired_count").unsigned_integer(stats.retired_count);
  json.key("retired");
  write_destination(json, stats.retired);
  json.end_object();
  return std::string(buffer.view());
}

std::string stats_tables(const StatsSnapshot& stats, const Style& style) {
  std::string out = engine_lines(stats, style) + spool_line(stats, style);
  if (!stats.rings.empty()) out += "\n" + ring_table(stats).render(style);
  if (!stats.destinations.empty()) {
    out +=
        "\n" + destination_table(stats).render(style) + "\n" + sending_table(stats).render(style);
  }
  if (const std::string losses = loss_lines(stats, style); !losses.empty()) out += "\n" + losses;
  return out;
}

}  // namespace sidecast
