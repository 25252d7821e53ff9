#include "tools/sidecast/stats_text.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tools/sidecast/table.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

using Json = nlohmann::json;

StatsSnapshot snapshot() {
  StatsSnapshot stats;
  stats.engine = {.version = "0.1.0",
                  .pid = 42,
                  .state = "running",
                  .uptime_s = 12.5,
                  .memory_bytes = 1U << 20U,
                  .stage_bytes = 2048,
                  .memory_limit_bytes = 512U << 20U,
                  .ledger_mismatches = 0};
  stats.records = {.calls = 12,
                   .written = 10,
                   .shed = 1,
                   .dropped_full = 2,
                   .dropped_busy = 0,
                   .dropped_too_large = 0,
                   .unread = 1,
                   .read = 9,
                   .malformed = 0,
                   .oversized = 0,
                   .poison = 0,
                   .forbidden = 0,
                   .unrouted = 2,
                   .routable = 7,
                   .ids_cut = 1};
  stats.rings.push_back({.file_name = "r.ring",
                         .pid = 7,
                         .process = "gate\x1bway",
                         .state = "live",
                         .lanes = 4,
                         .capacity_bytes = 1U << 24U,
                         .used_bytes = 3,
                         .used_bytes_max = 4,
                         .written = 10,
                         .shed = 1,
                         .dropped_full = 2,
                         .dropped_busy = 0,
                         .dropped_too_large = 0});
  DestinationStats destination;
  destination.name = "arize-prod";
  destination.type = "arize";
  destination.state = "backing off";
  destination.matched = 7;
  destination.sampled_out = 1;
  destination.routed = 6;
  destination.delivered = 1'234'567;
  destination.rejected = {{"rejected", 0}, {"partial", 2}};
  destination.dropped = {{"expired", 0}};
  destination.pending = 3;
  destination.spooled = 3;
  destination.adopted = 1;
  destination.requests = 5;
  destination.retries = 2;
  destination.bytes_uncompressed = 4096;
  destination.bytes_sent = 1000;
  destination.latency_ms_p50 = 1.5;
  destination.latency_ms_p99 = 20;
  destination.last_error = "503 from collector";
  stats.destinations.push_back(destination);
  stats.spool = {.directory = "/var/lib/spool",
                 .state = "full",
                 .bytes = 4096,
                 .limit_bytes = 8192,
                 .segments = 1,
                 .batches = 2,
                 .records = 3};
  return stats;
}

TEST(StatsText, JsonHasThePromisedShape) {
  Json shown = Json::parse(stats_json(snapshot()));
  // The sums of destinations that are no more have the shape of one that is.
  Json shape = shown["destinations"][0];
  for (const auto& [name, value] : shape.items())
    EXPECT_TRUE(shown["retired"].contains(name)) << name;
  EXPECT_EQ(shown["retired_count"], 0);
  shown.erase("retired");
  shown.erase("retired_count");
  EXPECT_EQ(shown, Json::parse(R"({
    "engine": {"version": "0.1.0", "pid": 42, "state": "running", "uptime_s": 12.5, "memory_bytes": 1048576,
               "memory_limit_bytes": 536870912, "stage_bytes": 2048, "ledger_mismatches": 0},
    "records": {"calls": 12, "written": 10, "shed": 1, "dropped": {"full": 2, "busy": 0, "too_large": 0},
                "unread": 1, "read": 9, "malformed": 0, "oversized": 0, "poison": 0, "forbidden": 0,
                "unrouted": 2, "routable": 7, "ids_cut": 1},
    "spool": {"dir": "/var/lib/spool", "state": "full", "bytes": 4096, "limit": 8192, "segments": 1, "batches": 2,
              "records": 3},
    "rings": [{"file": "r.ring", "pid": 7, "process": "gate\u001bway", "state": "live", "lanes": 4,
               "capacity_bytes": 16777216, "used_bytes": 3, "used_bytes_max": 4, "written": 10, "shed": 1,
               "dropped": {"full": 2, "busy": 0, "too_large": 0}}],
    "destinations": [{"name": "arize-prod", "type": "arize", "state": "backing off", "matched": 7, "filtered": 0,
                      "sampled_out": 1, "routed": 6, "delivered": 1234567, "rejected": {"rejected": 0, "partial": 2},
                      "dropped": {"expired": 0}, "pending": 3, "spooled": 3, "adopted": 1, "shrunk": 0, "rejected_spans": 0, "requests": 5,
                      "retries": 2, "bytes_uncompressed": 4096, "bytes_sent": 1000,
                      "latency_ms": {"p50": 1.5, "p99": 20}, "last_error": "503 from collector"}]})"));
  EXPECT_EQ(stats_json(snapshot()).find('\n'), std::string::npos);
}

TEST(StatsText, TablesNameEveryLossAndItsReason) {
  const std::string text = stats_tables(snapshot(), Style(false));
  EXPECT_NE(text.find("12 calls = 10 written (1 shed) + 2 full + 0 busy + 0 too large"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("1,234,567"), std::string::npos);
  EXPECT_NE(
      text.find(
          "spool    full, /var/lib/spool, 4.0 KiB of 8.0 KiB in 1 segment, 2 batches, 3 records"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("arize-prod: 2 rejected(partial)"), std::string::npos);
  EXPECT_NE(text.find("arize-prod: last error: 503 from collector"), std::string::npos);
}

TEST(StatsText, HostileNamesCannotReachTheTerminal) {
  EXPECT_EQ(stats_tables(snapshot(), Style(false)).find('\x1b'), std::string::npos);
  EXPECT_NE(stats_tables(snapshot(), Style(true)).find('\x1b'), std::string::npos)
      << "colour was asked for";
}

TEST(Table, ColumnsAlignAndColourDoesNotCount) {
  Table table({{"NAME", Align::kLeft}, {"N"}});
  table.add_row({{"é"}, {"1,000", Tone::kBad}});
  table.add_row({{"long name"}, {"2"}});
  EXPECT_EQ(table.render(Style(false)),
            "NAME           N\n"
            "é          1,000\n"
            "long name      2\n");
  EXPECT_NE(table.render(Style(true)).find("\x1b[31m1,000\x1b[0m\n"), std::string::npos);
}

TEST(Terminal, NumbersCanBeRead) {
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(human_count(1'234'567), "1,234,567");
  EXPECT_EQ(human_count(1, "span"), "1 span");
  EXPECT_EQ(human_count(1000, "span"), "1,000 spans");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_seconds(0.0123), "12 ms");
  EXPECT_EQ(human_seconds(3.21), "3.2 s");
  EXPECT_EQ(human_seconds(7500), "2 h 05 min");
}

TEST(Terminal, ForeignTextIsCutAndTamed) {
  EXPECT_EQ(printable("a\x1b[31m\nb", 100), "a [31m b");
  EXPECT_EQ(printable("ééé", 4), "éé…");
  EXPECT_EQ(printable("a\u009B31m", 100), "a  31m");
}

}  // namespace
}  // namespace sidecast
