#include "tools/sidecast/explain_text.h"

#include <array>
#include <ctime>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "engine/base/bytes.h"
#include "engine/base/json_writer.h"

namespace sidecast {
namespace {

using fates::DestinationStory;
using fates::Explanation;
using fates::RecordEvent;
using fates::RecordStory;

constexpr std::size_t kTextBytesMax = 300;

std::string shown(std::string_view text) {
  return printable(text, kTextBytesMax);
}

// "12:34:56.789", UTC as in the log; with the date where it is not clear.
std::string clock_text(std::int64_t time_ns, bool with_date) {
  const std::time_t seconds = time_ns / 1'000'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  const std::string date = with_date ? fmt::format("{:04}-{:02}-{:02} ", parts.tm_year + 1900,
                                                   parts.tm_mon + 1, parts.tm_mday)
                                     : std::string();
  return fmt::format("{}{:02}:{:02}:{:02}.{:03}", date, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     time_ns / 1'000'000 % 1000);
}

std::vector<std::string_view> flag_names(std::uint16_t flags) {
  constexpr std::array<std::pair<std::uint16_t, std::string_view>, 6> kNames = {{
      {fates::kShed, "shed"},
      {fates::kFailed, "failed"},
      {fates::kAborted, "aborted"},
      {fates::kShrunk, "shrunk"},
      {fates::kOversized, "oversized"},
      {fates::kSpan, "span"},
  }};
  std::vector<std::string_view> names;
  for (const auto& [flag, name] : kNames) {
    if ((flags & flag) != 0) names.push_back(name);
  }
  return names;
}

std::string trace_id_text(const RecordEvent& record) {
  const auto& id = record.body.trace_id;
  return to_hex({reinterpret_cast<const char*>(id.data()), id.size()});
}

// ---- For people ---------------------------------------------------------------------------------

std::string painted(const std::string& fate, const Style& style) {
  const std::string text = shown(fate);
  if (fate == "delivered") return style.good(text);
  if (fate.starts_with("rejected") || fate.starts_with("dropped")) return style.bad(text);
  const bool is_open = fate == "pending" || fate == "spooled" || fate == "unknown";
  return is_open ? style.warn(text) : style.bold(text);
}

std::string arrival_lines(const RecordStory& story) {
  const RecordEvent& record = story.record;
  const fates::RecordBody& body = record.body;
  if (!story.is_arrival_known) {
    return fmt::format("  read as record {} of lane {}; when is no longer kept\n", body.sequence,
                       body.lane);
  }
  std::string out = fmt::format(
      "  {}  read from the ring of {} (pid {}): lane {}, record {}; its request ended at {}{}\n",
      clock_text(body.read_ns, true), shown(record.process), body.pid, body.lane, body.sequence,
      clock_text(body.ended_ns, true),
      body.http_status == 0 ? "" : fmt::format(" with HTTP {}", body.http_status));
  const auto tell = [&](std::uint16_t flag, std::string_view line) {
    if ((body.flags & flag) != 0) out += fmt::format("    {}\n", line);
  };
  tell(fates::kShed, "shed: the ring had no room for its bodies, so the gateway left them out");
  tell(fates::kFailed, "the request failed");
  tell(fates::kAborted, "the client went away before the end");
  tell(fates::kShrunk, "its content was shortened: memory_limit leaves less for one record");
  tell(fates::kOversized, "oversized: too large for memory_limit, even shortened; nobody gets it");
  if (story.times_read > 1) {
    out += fmt::format(
        "    read {} times: an engine died before it had said what became of the record\n",
        story.times_read);
  }
  if (body.decisions_left_out > 0) {
    out += fmt::format("    {} groups of destinations more than are kept for one record\n",
                       body.decisions_left_out);
  }
  return out;
}

std::string destination_lines(const DestinationStory& story, const Style& style) {
  std::string out =
      fmt::format("  {}: {}", style.bold(shown(story.name)), painted(story.fate, style));
  if (!story.why.empty()) out += ": " + shown(story.why);
  out += '\n';
  for (const fates::Step& step : story.steps) {
    out += fmt::format("    {}  {}", clock_text(step.time_ns, false), shown(step.what));
    if (!step.detail.empty()) out += ": " + shown(step.detail);
    out += '\n';
  }
  return out;
}

std::string story_lines(const RecordStory& story, const Style& style) {
  const RecordEvent& record = story.record;
  std::string out = style.bold(shown(record.generation_id)) + "   trace " + trace_id_text(record);
  if (!record.account.empty()) out += ", account " + shown(record.account);
  out += '\n' + arrival_lines(story);
  for (const DestinationStory& destination : story.destinations) {
    out += destination_lines(destination, style);
  }
  const bool is_oversized = (record.body.flags & fates::kOversized) != 0;
  if (story.destinations.empty() && !is_oversized) {
    out += fmt::format("  {}: no destination takes records of {}\n", style.warn("unrouted"),
                       record.account.empty() ? "no account" : "account " + shown(record.account));
  } else if (story.destinations_of_others > 0) {
    out += fmt::format("  {} not for its account\n",
                       human_count(story.destinations_of_others, "other destination"));
  }
  return out;
}

// ---- JSON ---------------------------------------------------------------------------------------

void write_destination(JsonWriter& json, const DestinationStory& story) {
  json.begin_object();
  json.key("name").string(story.name);
  json.key("decision").string(story.decision);
  json.key("fate").string(story.fate);
  json.key("why").string(story.why);
  json.key("steps").begin_array();
  for (const fates::Step& step : story.steps) {
    json.begin_object();
    json.key("time_ns").integer(step.time_ns);
    json.key("what").string(step.what);
    json.key("detail").string(step.detail);
    json.end_object();
  }
  json.end_array().end_object();
}

void write_story(JsonWriter& json, const RecordStory& story) {
  const RecordEvent& record = story.record;
  json.begin_object();
  json.key("generation_id").string(record.generation_id);
  json.key("trace_id").string(trace_id_text(record));
  json.key("account").string(record.account);
  json.key("lane").unsigned_integer(record.body.lane);
  json.key("sequence").unsigned_integer(record.body.sequence);
  json.key("arrival_known").boolean(story.is_arrival_known);
  if (story.is_arrival_known) {
    json.key("process").string(record.process);
    json.key("pid").integer(record.body.pid);
    json.key("read_ns").integer(record.body.read_ns);
    json.key("ended_ns").integer(record.body.ended_ns);
    json.key("http_status").integer(record.body.http_status);
    json.key("span_bytes").unsigned_integer(record.body.span_bytes);
    json.key("times_read").unsigned_integer(story.times_read);
    json.key("flags").begin_array();
    for (const std::string_view flag : flag_names(record.body.flags)) json.string(flag);
    json.end_array();
  }
  json.key("destinations").begin_array();
  for (const DestinationStory& destination : story.destinations) {
    write_destination(json, destination);
  }
  json.end_array();
  json.key("destinations_of_others").unsigned_integer(story.destinations_of_others);
  json.end_object();
}

}  // namespace

std::string explanation_text(const Explanation& explanation, const std::string& id,
                             const Style& style) {
  std::string out;
  for (const RecordStory& story : explanation.records) {
    if (!out.empty()) out += '\n';
    out += story_lines(story, style);
  }
  if (explanation.records_left_out > 0) {
    out += fmt::format("\n{} more with this id; --limit shows more\n",
                       human_count(explanation.records_left_out, "record"));
  }
  if (explanation.records.empty()) {
    out += fmt::format("nothing is known of {}: ", shown(id));
    out += explanation.reaches_back_ns > 0
               ? fmt::format(
                     "what became of records before {} UTC is no longer kept (of {} it is); "
                     "a larger 'explain: {{size}}' reaches further back\n",
                     clock_text(explanation.reaches_back_ns, true),
                     human_count(explanation.records_kept, "record"))
               : fmt::format("of {} read since the fates were begun none has this id\n",
                             human_count(explanation.records_kept, "record"));
  }
  if (!explanation.notes.empty() && !explanation.records.empty()) out += '\n';
  for (const std::string& note : explanation.notes) out += shown(note) + '\n';
  return out;
}

std::string explanation_json(const Explanation& explanation, const std::string& id) {
  ByteBuffer buffer;
  JsonWriter json(buffer);
  json.begin_object();
  json.key("id").string(id);
  json.key("reaches_back_ns").integer(explanation.reaches_back_ns);
  json.key("records_kept").unsigned_integer(explanation.records_kept);
  json.key("records_left_out").unsigned_integer(explanation.records_left_out);
  json.key("records").begin_array();
  for (const RecordStory& story : explanation.records) write_story(json, story);
  json.end_array().key("notes").begin_array();
  for (const std::string& note : explanation.notes) json.string(note);
  json.end_array().end_object();
  return std::string(buffer.view());
}

}  // namespace sidecast
