#include "tools/sidecast/tail_text.h"

#include <cstdint>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

using nlohmann::json;

constexpr std::size_t kNameBytesMax = 64;
constexpr std::size_t kErrorBytesMax = 1024;
constexpr std::size_t kContentBytesMax = 2000;

const json& member(const json& object, const char* key) {
  static const json kNothing;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() ? *found : kNothing;
}

std::string text(const json& object, const char* key, std::size_t bytes_max = kNameBytesMax) {
  const json& value = member(object, key);
  return value.is_string() ? printable(value.get_ref<const std::string&>(), bytes_max)
                           : std::string();
}

double number(const json& object, const char* key) {
  const json& value = member(object, key);
  return value.is_number() ? value.get<double>() : 0;
}

bool is_set(const json& object, const char* key) {
  const json& value = member(object, key);
  return value.is_boolean() && value.get<bool>();
}

// "2026-11-21T14:03:11.123456789Z" -> seconds of the day, and "14:03:11.123".
double seconds_of(const std::string& time) {
  if (time.size() < 23) return 0;
  const auto digits = [&time](std::size_t from) {
    return (time[from] - '0') * 10 + (time[from + 1] - '0');
  };
  double seconds = digits(11) * 3600 + digits(14) * 60 + digits(17);
  double unit = 0.1;
  for (std::size_t i = 20; i < time.size() && time[i] >= '0' && time[i] <= '9'; ++i, unit /= 10) {
    seconds += (time[i] - '0') * unit;
  }
  return seconds;
}

std::string between(const std::string& from, const std::string& to) {
  double seconds = seconds_of(to) - seconds_of(from);
  if (seconds < 0) seconds += 86'400;
  return human_seconds(seconds);
}

void add(std::string& line, std::string_view word) {
  if (word.empty()) return;
  if (!line.empty()) line += "  ";
  line += word;
}

std::string tokens(const json& call) {
  if (!member(call, "promptTokens").is_number() && !member(call, "completionTokens").is_number()) {
    return {};
  }
  return fmt::format("{:.0f}>{:.0f} tokens", number(call, "promptTokens"),
                     number(call, "completionTokens"));
}

std::string destinations(const json& packet, const Style& style) {
  std::string names;
  for (const json& each : member(packet, "destinations")) {
    if (!names.empty()) names += ", ";
    const std::string fate = text(each, "fate");
    const std::string name = text(each, "name");
    names += fate == "routed" ? name : style.dim(name + " (" + fate + ")");
  }
  if (const double more = number(packet, "destinations_left_out"); more > 0) {
    names += fmt::format(" and {:.0f} more", more);
  }
  return names.empty() ? style.dim("no destination") : "-> " + names;
}

std::string content(const json& record, const char* key) {
  const json& value = member(record, key);
  if (value.is_null()) return {};
  const std::string shown = value.is_string()
                                ? value.get<std::string>()
                                : value.dump(-1, ' ', false, json::error_handler_t::replace);
  return fmt::format("    {:<7} {}\n", key, printable(shown, kContentBytesMax));
}

}  // namespace

std::string tail_lines(std::string_view packet, const Style& style) {
  const json said = json::parse(packet, nullptr, false);
  if (!said.is_object()) return style.bad("what the engine said cannot be read") + "\n";
  const json& record = member(said, "record");
  const json& observations = member(record, "observations");
  const json& call = observations.is_array() && !observations.empty() ? observations[0] : record;
  const std::string start = text(call, "startTime");
  const bool failed = is_set(said, "failed");

  std::string line;
  add(line, style.dim(start.size() >= 23 ? start.substr(11, 12) : std::string("?")));
  std::string outcome = failed ? text(call, "errorType") : std::string("ok");
  if (failed && outcome.empty()) outcome = "failed";
  add(line, failed ? style.bad(outcome) : style.good(outcome));
  if (const double status = number(said, "http_status"); status > 0) {
    add(line, fmt::format("{:.0f}", status));
  }
  if (text(said, "kind") == "span") add(line, text(call, "type"));
  const std::string model = text(call, "model");
  add(line, style.bold(model.empty() ? text(call, "name") : model));
  add(line, text(call, "providerName"));
  if (!start.empty()) add(line, between(start, text(call, "endTime")));
  const std::string first = text(call, "completionStartTime");
  if (!first.empty()) add(line, "first after " + between(start, first));
  add(line, tokens(call));
  if (member(call, "totalCost").is_number()) {
    add(line, fmt::format("${:.6g}", number(call, "totalCost")));
  }
  add(line, text(call, "finishReason"));
  if (is_set(said, "shed")) add(line, style.warn("shed"));
  const std::string account = text(said, "account");
  const std::string key = text(record, "apiKeyName");
  add(line, account.empty() || key.empty() ? account + key : account + "/" + key);
  add(line, style.dim(text(call, "id")));
  add(line, destinations(said, style));
  line += "\n";
  const std::string how = text(said, "content");
  if (how == "shown") {
    const std::string error = failed ? text(call, "statusMessage", kErrorBytesMax) : std::string();
    if (!error.empty()) line += "    error: " + error + "\n";
    return line + content(record, "input") + content(record, "output");
  }
  if (how != "left out") return line;
  return line + style.dim(fmt::format(
                    "    {} of content: too much to show\n",
                    human_bytes(static_cast<std::uint64_t>(number(said, "content_bytes")))));
}

std::uint64_t tail_missed(std::string_view packet) {
  const json said = json::parse(packet, nullptr, false);
  const json& missed = member(said, "missed");
  return missed.is_number_unsigned() ? missed.get<std::uint64_t>() : 0;
}

}  // namespace sidecast
