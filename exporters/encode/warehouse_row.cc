#include "exporters/encode/warehouse_row.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "engine/base/json_writer.h"
#include "engine/base/sha256.h"
#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/keys.h"
#include "exporters/dialects/messages.h"
#include "exporters/dialects/names.h"
#include "exporters/dialects/times.h"

namespace sidecast {
namespace {

constexpr std::size_t kScratchBytes = 16U * 1024U;

constexpr WarehouseColumn kColumns[] = {
    {"TRACE_ID", ColumnType::kText, true},
    {"SPAN_ID", ColumnType::kText, true},
    {"PARENT_SPAN_ID", ColumnType::kText},
    {"USER_ID", ColumnType::kText},
    {"SESSION_ID", ColumnType::kText},
    {"ORGANIZATION_ID", ColumnType::kText},
    {"ENTITY_ID", ColumnType::kText, true},
    {"API_KEY_NAME", ColumnType::kText},
    {"TIMESTAMP", ColumnType::kTime, true},
    {"START_TIME", ColumnType::kTime, true},
    {"END_TIME", ColumnType::kTime},
    {"DURATION_MS", ColumnType::kFloat},
    {"MODEL", ColumnType::kText},
    {"PROVIDER_NAME", ColumnType::kText},
    {"PROVIDER_SLUG", ColumnType::kText},
    {"STATUS", ColumnType::kText, true},
    {"LEVEL", ColumnType::kText, true},
    {"FINISH_REASON", ColumnType::kText},
    {"PROMPT_TOKENS", ColumnType::kInteger, true},
    {"COMPLETION_TOKENS", ColumnType::kInteger, true},
    {"TOTAL_TOKENS", ColumnType::kInteger, true},
    {"CACHED_TOKENS", ColumnType::kInteger, true},
    {"REASONING_TOKENS", ColumnType::kInteger, true},
    {"INPUT_COST", ColumnType::kFloat, true},
    {"OUTPUT_COST", ColumnType::kFloat, true},
    {"TOTAL_COST", ColumnType::kFloat, true},
    {"INPUT_UNIT_PRICE", ColumnType::kFloat},
    {"OUTPUT_UNIT_PRICE", ColumnType::kFloat},
    {"SPAN_TYPE", ColumnType::kText, true},
    {"SPAN_KIND", ColumnType::kText, true},
    {"OPERATION_NAME", ColumnType::kText, true},
    {"ATTRIBUTES", ColumnType::kJson},
    {"INPUT", ColumnType::kJson},
    {"OUTPUT", ColumnType::kJson},
    {"METADATA", ColumnType::kJson},
    {"TAGS", ColumnType::kTexts},
    {"MODEL_PARAMETERS", ColumnType::kJson},
    {"RESOURCE_ATTRIBUTES", ColumnType::kJson},
    {"SCHEMA_VERSION", ColumnType::kInteger, true},
};
constexpr std::int64_t kSchemaVersion = 1;

std::string lower_case(Text name) {
  std::string lowered(name);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

// One row under construction: spells names, times and JSON as the form asks.
class Row {
 public:
  Row(const RowForm& form, ByteBuffer& out) noexcept : form_(form), json_(out) {
    json_.begin_object();
  }
  void end() { json_.end_object(); }

  void text(Text name, Text value) {
    if (!value.empty()) {
      key(name).string(value);
    } else {
      absent(name);
    }
  }
  // Of a column that every row has.
  void required_text(Text name, Text value) { key(name).string(value); }
  void time(Text name, Timestamp value) {
    const auto milliseconds = std::chrono::floor<Milliseconds>(value).time_since_epoch().count();
    switch (form_.time) {
      case RowTime::kMilliseconds:
        key(name).integer(milliseconds);
        break;
      case RowTime::kSecondsText: {
        const auto known = std::max<std::int64_t>(milliseconds, 0);
        key(name).string(fmt::format("{}.{:03}", known / 1000, known % 1000));
        break;
      }
      case RowTime::kRfc3339: {
        std::array<char, kIsoTimeBytes> text;
        key(name).string(iso_time(value, text));
        break;
      }
    }
  }
  void integer(Text name, std::int64_t value) { key(name).integer(value); }
  void number(Text name, double value) { key(name).number(value); }
  void absent(Text name) {
    if (form_.has_nulls) key(name).null();
  }
  // `write` puts one JSON value.
  template <typename Write>
  void json(Text name, Write write) {
    if (!form_.has_json_texts) {
      write(key(name));
      return;
    }
    scratch_.clear();
    JsonWriter inner(scratch_);
    write(inner);
    key(name).string(scratch_.view());
  }
  void json_text(Text name, Text value) {
    if (value.empty()) {
      absent(name);
    } else if (form_.has_json_texts) {
      key(name).string(value);
    } else {
      key(name).raw(value);
    }
  }
  void texts(Text name, std::span<const Text> values) {
    key(name).begin_array();
    for (const Text value : values) json_.string(value);
    json_.end_array();
  }

 private:
  JsonWriter& key(Text name) {
    return json_.key(form_.is_lower_case ? Text(lower_case(name)) : name);
  }

  const RowForm& form_;
  JsonWriter json_;
  ByteBuffer scratch_;
};

// The span of the call itself among those of the record.
const Span* span_of(const Trace& trace, const SpanSet& set) noexcept {
  if (set.spans.empty()) return nullptr;
  const SpanId id = trace.span_id.value_or(hash_span_id(trace.identity.generation_id));
  const auto found = std::find_if(set.spans.begin(), set.spans.end(),
                                  [&id](const Span& span) { return span.span_id == id; });
  return found == set.spans.end() ? &set.spans.front() : &*found;
}

Text text_attribute(const Span* span, Text key) noexcept {
  if (span == nullptr) return {};
  for (const Attribute& attribute : span->attributes) {
    const Text* const text = std::get_if<Text>(&attribute.value);
    if (attribute.key == key && text != nullptr) return *text;
  }
  return {};
}

bool is_content_copy(Text key) noexcept {
  return key == keys::kPrompt || key == keys::kCompletion || key == keys::kSpanInput ||
         key == keys::kSpanOutput;
}

void write_value(JsonWriter& json, const AttributeValue& value) {
  if (const auto* text = std::get_if<Text>(&value)) {
    json.string(*text);
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    json.integer(*integer);
  } else if (const auto* number = std::get_if<double>(&value)) {
    json.number(*number);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    json.boolean(*flag);
  } else if (const auto* texts = std::get_if<std::span<const Text>>(&value)) {
    json.begin_array();
    for (const Text each : *texts) json.string(each);
    json.end_array();
  } else {
    json.begin_array();
    for (const double each : std::get<std::span<const double>>(value)) json.number(each);
    json.end_array();
  }
}

void write_attributes(JsonWriter& json, const ArenaVector<Attribute>& attributes) {
  json.begin_object();
  for (const Attribute& attribute : attributes) {
    if (!is_content_copy(attribute.key)) write_value(json.key(attribute.key), attribute.value);
  }
  json.end_object();
}

// All keys of the request's `trace` object, those with columns of their own as well.
void write_trace_object(JsonWriter& json, const Trace& trace, Arena& arena) {
  const TraceSettings& settings = trace.settings;
  ArenaVector<Metadatum> named(arena.resource());
  const auto add = [&named](Text key, Text value) {
    if (!value.empty()) named.push_back({key, value, false});
  };
  add("trace_id", settings.trace_id_text);
  add("trace_name", settings.trace_name);
  add("span_name", settings.span_name);
  add("generation_name", settings.generation_name);
  add("parent_span_id", settings.parent_span_id_text);
  write_metadata(json, trace.metadata, named, {});
}

Text kind_name(const Span* span) noexcept {
  if (span == nullptr) return "CLIENT";
  constexpr std::array<Text, 6> kNames = {"INTERNAL", "INTERNAL", "SERVER",
                                          "CLIENT",   "PRODUCER", "CONSUMER"};
  return kNames[static_cast<std::size_t>(span->kind)];
}

void write_identity(Row& row, const Trace& trace) {
  const Identity& identity = trace.identity;
  const Text trace_id = trace.settings.trace_id_text;
  row.required_text("TRACE_ID", trace_id.empty() ? identity.generation_id : trace_id);
  row.required_text("SPAN_ID", identity.generation_id);
  row.text("PARENT_SPAN_ID", trace.settings.parent_span_id_text);
  row.text("USER_ID", identity.user_id);
  row.text("SESSION_ID", identity.session_id);
  row.absent("ORGANIZATION_ID");
  row.required_text("ENTITY_ID", identity.account);
  row.text("API_KEY_NAME", identity.api_key_name);
}

void write_call(Row& row, const Trace& trace, Arena& arena) {
  row.time("TIMESTAMP", trace.start);
  row.time("START_TIME", trace.start);
  row.time("END_TIME", trace.end);
  row.number("DURATION_MS",
             std::chrono::duration<double, std::milli>(trace.end - trace.start).count());
  row.text("MODEL", model_of(trace));
  row.text("PROVIDER_NAME", trace.provider);
  row.text("PROVIDER_SLUG", provider_names(trace.provider, arena).gen_ai);
  const Failure failure = failure_of(trace);
  row.required_text("STATUS", failure.happened ? "error" : "ok");
  row.required_text("LEVEL", failure.happened ? "ERROR" : "DEFAULT");
  const std::span<const Text> reasons = finish_reasons(trace, arena);
  row.text("FINISH_REASON", reasons.empty() ? Text() : reasons.front());
}

void write_usage(Row& row, const Trace& trace) {
  const Usage& usage = trace.usage;
  row.integer("PROMPT_TOKENS", usage.input.value_or(0));
  row.integer("COMPLETION_TOKENS", usage.output.value_or(0));
  row.integer("TOTAL_TOKENS", total_tokens(usage).value_or(0));
  row.integer("CACHED_TOKENS", usage.cache_read.value_or(0));
  row.integer("REASONING_TOKENS", usage.reasoning.value_or(0));
  row.number("INPUT_COST", trace.cost.input.value_or(0));
  row.number("OUTPUT_COST", trace.cost.output.value_or(0));
  row.number("TOTAL_COST", trace.cost.total.value_or(0));
  row.absent("INPUT_UNIT_PRICE");
  row.absent("OUTPUT_UNIT_PRICE");
}

void write_content(Row& row, const Trace& trace, const SpanSet& set, const Span* span,
                   Arena& arena) {
  row.required_text("SPAN_TYPE",
                    trace.is_explicit_span ? openinference_kind(trace.kind) : Text("GENERATION"));
  row.required_text("SPAN_KIND", kind_name(span));
  row.required_text("OPERATION_NAME", gen_ai_operation(trace));
  if (span == nullptr) {
    row.absent("ATTRIBUTES");
  } else {
    row.json("ATTRIBUTES", [&](JsonWriter& json) { write_attributes(json, span->attributes); });
  }
  // The generic dialect has made these texts already.
  const Text input = text_attribute(span, keys::kPrompt);
  const Text output = text_attribute(span, keys::kCompletion);
  row.json_text("INPUT", input.empty() ? input_json(trace, arena) : input);
  row.json_text("OUTPUT", output.empty() ? output_json(trace, arena) : output);
  row.json("METADATA", [&](JsonWriter& json) { write_trace_object(json, trace, arena); });
  row.texts("TAGS", trace.tags);
  row.json_text("MODEL_PARAMETERS", trace.parameters.json);
  row.json("RESOURCE_ATTRIBUTES", [&](JsonWriter& json) { write_attributes(json, set.resource); });
  row.integer("SCHEMA_VERSION", kSchemaVersion);
}

}  // namespace

std::span<const WarehouseColumn> warehouse_columns() noexcept {
  return kColumns;
}

void write_warehouse_row(const Trace& trace, const SpanSet& set, const RowForm& form,
                         ByteBuffer& out) {
  Arena arena(kScratchBytes);
  Row row(form, out);
  write_identity(row, trace);
  write_call(row, trace, arena);
  write_usage(row, trace);
  write_content(row, trace, set, span_of(trace, set), arena);
  row.end();
}

// JSON stands in String columns, where text is right whatever the server's settings are. Times are
// seconds with a fraction, as text: they mean the same in every time zone, setting and version,
// while a bare integer for a DateTime64(3) is milliseconds to 26.7 and seconds to 26.9.
void encode_clickhouse_row(const Trace& trace, const SpanSet& set, ByteBuffer& out) {
  static constexpr RowForm kForm{.time = RowTime::kSecondsText, .has_json_texts = true};
  write_warehouse_row(trace, set, kForm, out);
}

void encode_bigquery_row(const Trace& trace, const SpanSet& set, ByteBuffer& out) {
  static constexpr RowForm kForm{
      .time = RowTime::kRfc3339, .is_lower_case = true, .has_json_texts = true};
  constexpr std::size_t kInsertIdBytesMax = 128;
  const Text id = trace.identity.generation_id;
  out.append(R"({"insertId":)");
  // A longer id is hashed: cut, two could be the same.
  JsonWriter(out).string(id.size() <= kInsertIdBytesMax ? id : Text(to_hex(as_bytes(sha256(id)))));
  out.append(R"(,"json":)");
  write_warehouse_row(trace, set, kForm, out);
  out.push_back('}');
}

void encode_snowflake_row(const Trace& trace, const SpanSet& set, ByteBuffer& out) {
  static constexpr RowForm kForm{};
  ByteBuffer row;
  write_warehouse_row(trace, set, kForm, row);
  append_json_escaped(out, row.view());
}

void encode_supabase_row(const Trace& trace, const SpanSet& set, ByteBuffer& out) {
  static constexpr RowForm kForm{
      .time = RowTime::kRfc3339, .is_lower_case = true, .has_nulls = true};
  ByteBuffer row;
  write_warehouse_row(trace, set, kForm, row);
  // A zero byte can only stand there as this escape, unless the backslash itself is escaped.
  constexpr Text kZero = "\\u0000";
  Text rest = row.view();
  for (std::size_t at = 0; (at = rest.find(kZero, at)) != Text::npos;) {
    std::size_t backslashes = 1;
    while (backslashes <= at && rest[at - backslashes] == '\\') ++backslashes;
    if (backslashes % 2 == 0) {
      ++at;
      continue;
    }
    out.append(rest.substr(0, at));
    out.append("\\ufffd");
    rest.remove_prefix(at + kZero.size());
    at = 0;
  }
  out.append(rest);
}

std::string column_lines(std::string (*type_of)(const WarehouseColumn&), bool is_lower_case) {
  std::string lines;
  for (const WarehouseColumn& column : kColumns) {
    if (!lines.empty()) lines += ",\n";
    lines += fmt::format("  {} {}", is_lower_case ? lower_case(column.name) : column.name,
                         type_of(column));
  }
  return lines;
}

}  // namespace sidecast
