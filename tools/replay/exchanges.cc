#include "tools/replay/exchanges.h"

#include <utility>

#include <fmt/format.h>
#include <simdjson.h>

#include "tools/replay/lines.h"

namespace sidecast::replay {
namespace {

namespace ondemand = simdjson::ondemand;

// Reads one member into `out`; null counts as absent. simdjson throws: caught in parse_exchange().
std::string_view text_or_empty(ondemand::value value, Arena& arena) {
  if (value.is_null()) return {};
  return arena.copy(value.get_string().value());
}

std::string_view raw_or_empty(ondemand::value value, Arena& arena) {
  const std::string_view raw = simdjson::to_json_string(value).value();
  return raw == "null" ? std::string_view() : arena.copy(raw);
}

std::int64_t output_tokens_of(ondemand::value value) {
  if (value.type().value() != ondemand::json_type::object) return 0;
  std::int64_t tokens = 0;
  return value["output"].get(tokens) == simdjson::SUCCESS ? tokens : 0;
}

void read_member(std::string_view name, ondemand::value value, Arena& arena, Exchange& out) {
  if (name == "id") {
    out.id = text_or_empty(value, arena);
  } else if (name == "session") {
    out.session = text_or_empty(value, arena);
  } else if (name == "provider") {
    out.provider = text_or_empty(value, arena);
  } else if (name == "operation") {
    out.operation = text_or_empty(value, arena);
  } else if (name == "model") {
    out.model = text_or_empty(value, arena);
  } else if (name == "url_path") {
    out.url_path = text_or_empty(value, arena);
  } else if (name == "status") {
    out.http_status = static_cast<std::int32_t>(value.get_int64().value());
  } else if (name == "request") {
    out.request = raw_or_empty(value, arena);
  } else if (name == "response") {
    if (const auto raw = raw_or_empty(value, arena); !raw.empty()) out.response = raw;
  } else if (name == "response_sse") {
    if (value.is_null()) return;
    out.response = arena.copy(value.get_string().value());
    out.is_stream = true;
  } else if (name == "duration_ms") {
    if (!value.is_null()) out.duration_ms = value.get_double().value();
  } else if (name == "tokens") {
    out.output_tokens = output_tokens_of(value);
  }
}

Result<Exchange> parse_exchange(ondemand::parser& parser, std::string& line, Arena& arena) {
  Exchange exchange;
  try {
    ondemand::document document = parser.iterate(line.data(), line.size(), line.capacity()).value();
    // A name of its own: the loop would not keep the temporary result alive.
    ondemand::object members = document.get_object().value();
    for (auto field : members) {
      const std::string_view name = field.unescaped_key().value();
      read_member(name, field.value().value(), arena, exchange);
    }
  } catch (const simdjson::simdjson_error& error) {
    return fail(std::string("is not a recorded exchange: ") + error.what());
  }
  if (exchange.id.empty()) return fail("is not a recorded exchange: it has no id");
  return exchange;
}

}  // namespace

Result<Exchanges> Exchanges::load(const std::vector<std::string>& paths, std::size_t limit) {
  Exchanges loaded;
  for (const std::string& path : paths) {
    if (Status status = loaded.load_file(path, limit); !status)
      return fail(std::move(status.error()));
  }
  return loaded;
}

Status Exchanges::load_file(const std::string& path, std::size_t limit) {
  auto lines = LineReader::open(path);
  if (!lines) return fail(std::move(lines.error()));
  ondemand::parser parser;
  std::string line;
  while (exchanges_.size() < limit) {
    const Result<bool> more = lines->next(line, simdjson::SIMDJSON_PADDING);
    if (!more) return fail(more.error());
    if (!*more) break;
    if (line.empty()) continue;
    auto exchange = parse_exchange(parser, line, *arena_);
    if (!exchange) {
      return fail(fmt::format("{}:{}: {}", path, lines->line_number(), exchange.error().message()));
    }
    exchanges_.push_back(*exchange);
  }
  return {};
}

}  // namespace sidecast::replay
