// The warehouse row: columns, spellings, and nothing of content where privacy mode removed it.
#include "exporters/encode/warehouse_row.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "exporters/dialects/dialects.h"
#include "exporters/dialects/privacy.h"
#include "tests/unit/exporters/dialects/trace_fixture.h"

namespace sidecast {
namespace {

using nlohmann::ordered_json;

ordered_json row_of(const Trace& trace, Arena& arena, const RowForm& form = {}) {
  DialectOptions options;
  options.resource = {{"service.name", "sidecast"}};
  ByteBuffer out;
  write_warehouse_row(trace, write_generic(trace, options, arena), form, out);
  EXPECT_EQ(out.view().find('\n'), Text::npos) << "one row is one line";
  return ordered_json::parse(out.view());
}

Trace named_trace(Arena& arena) {
  Trace trace = chat_trace(arena);
  trace.settings.trace_id_text = "workflow-1";
  trace.settings.trace_name = "Checkout";
  trace.settings.parent_span_id_text = "step-2";
  return trace;
}

TEST(WarehouseRow, HoldsWhatTheReferenceSays) {
  Arena arena;
  ordered_json row = row_of(named_trace(arena), arena);
  const ordered_json attributes = row.at("ATTRIBUTES");
  row.erase("ATTRIBUTES");
  EXPECT_EQ(row, ordered_json::parse(R"({
    "TRACE_ID": "workflow-1", "SPAN_ID": "gen-1", "PARENT_SPAN_ID": "step-2",
    "USER_ID": "user-7", "SESSION_ID": "session-9", "ENTITY_ID": "acme", "API_KEY_NAME": "team-a",
    "TIMESTAMP": 1700000000000, "START_TIME": 1700000000000, "END_TIME": 1700000002000,
    "DURATION_MS": 2000, "MODEL": "gpt-4o-2024-08-06", "PROVIDER_NAME": "OpenAI",
    "PROVIDER_SLUG": "openai", "STATUS": "ok", "LEVEL": "DEFAULT", "FINISH_REASON": "stop",
    "PROMPT_TOKENS": 105, "COMPLETION_TOKENS": 20, "TOTAL_TOKENS": 125, "CACHED_TOKENS": 90,
    "REASONING_TOKENS": 3, "INPUT_COST": 0.25, "OUTPUT_COST": 0.25, "TOTAL_COST": 0.5,
    "SPAN_TYPE": "GENERATION", "SPAN_KIND": "CLIENT", "OPERATION_NAME": "chat",
    "INPUT": {"messages": [{"role": "system", "content": "Be brief."},
                           {"role": "user", "content": "Hi \"there\"\n"}]},
    "OUTPUT": {"completion": "Hello"},
    "METADATA": {"feature": "search", "build": 42, "ratio": 0.5, "beta": true, "list": [1, 2],
                 "nothing": null, "trace_id": "workflow-1", "trace_name": "Checkout",
                 "parent_span_id": "step-2"},
    "TAGS": ["red", "blue"],
    "MODEL_PARAMETERS": {"model": "openai/gpt-4o", "temperature": 1, "stop": ["END"]},
    "RESOURCE_ATTRIBUTES": {"service.name": "sidecast"}, "SCHEMA_VERSION": 1})"));
  EXPECT_EQ(attributes.at("gen_ai.usage.input_tokens"), 105);
  EXPECT_EQ(attributes.at("trace.metadata.feature"), "search");
  EXPECT_FALSE(attributes.contains("gen_ai.prompt")) << "content is in INPUT, once";
  EXPECT_FALSE(attributes.contains("gen_ai.completion"));
}

TEST(WarehouseRow, KeysAreTheColumnsInTheirOrder) {
  Arena arena;
  const ordered_json row = row_of(named_trace(arena), arena, {.has_nulls = true});
  ASSERT_EQ(warehouse_columns().size(), 39U);
  ASSERT_EQ(row.size(), 39U);
  std::size_t index = 0;
  for (const auto& [name, value] : row.items()) {
    const WarehouseColumn& column = warehouse_columns()[index++];
    EXPECT_EQ(name, column.name);
    if (column.is_required) {
      EXPECT_FALSE(value.is_null()) << name;
    }
  }
}

TEST(WarehouseRow, EverySpellingSaysTheSame) {
  Arena arena;
  const ordered_json plain = row_of(named_trace(arena), arena);
  const ordered_json other =
      row_of(named_trace(arena), arena,
             {.time = RowTime::kRfc3339, .is_lower_case = true, .has_json_texts = true});
  ASSERT_EQ(plain.size(), other.size());
  EXPECT_EQ(other.at("start_time"), "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(other.at("end_time"), "2023-11-14T22:13:22.000Z");
  for (const char* name :
       {"ATTRIBUTES", "INPUT", "OUTPUT", "METADATA", "MODEL_PARAMETERS", "RESOURCE_ATTRIBUTES"}) {
    std::string lowered(name);
    for (char& c : lowered) c = static_cast<char>(std::tolower(c));
    EXPECT_EQ(ordered_json::parse(other.at(lowered).get<std::string>()), plain.at(name)) << name;
  }
  EXPECT_EQ(other.at("total_cost"), plain.at("TOTAL_COST"));
}

TEST(WarehouseRow, ClickHousesTimesMeanTheSameToEveryVersion) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.start += std::chrono::milliseconds(7);
  ByteBuffer out;
  encode_clickhouse_row(trace, write_generic(trace, {}, arena), out);
  EXPECT_EQ(ordered_json::parse(out.view()).at("START_TIME"), "1700000000.007");
}

TEST(WarehouseRow, RequiredColumnsAreThereForAnEmptyTrace) {
  Arena arena;
  Trace trace(arena);
  trace.identity.generation_id = "g";
  const ordered_json row = row_of(trace, arena);
  for (const WarehouseColumn& column : warehouse_columns()) {
    EXPECT_EQ(row.contains(column.name), column.is_required || row.contains(column.name));
    if (column.is_required) {
      EXPECT_TRUE(row.contains(column.name)) << column.name;
    }
  }
  EXPECT_FALSE(row.contains("INPUT"));
  EXPECT_EQ(row.at("PROMPT_TOKENS"), 0);
}

TEST(WarehouseRow, FailureIsAStatusAndALevel) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.outcome.failed = true;
  trace.outcome.error_type = "rate_limit";
  const ordered_json row = row_of(trace, arena);
  EXPECT_EQ(row.at("STATUS"), "error");
  EXPECT_EQ(row.at("LEVEL"), "ERROR");
}

TEST(WarehouseRow, PrivacyLeavesContentInNoColumn) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.outcome.failed = true;
  trace.outcome.error_type = "refused";
  trace.outcome.error_message = "canary-error";
  trace.output_messages.front().parts.front().text = "canary-output";
  trace.input_messages.front().parts.front().text = "canary-input";
  const Trace redacted = redact(trace, {}, arena);
  const std::string row = row_of(redacted, arena).dump();
  EXPECT_EQ(row.find("canary"), std::string::npos) << row;
  EXPECT_EQ(row.find("\"INPUT\""), std::string::npos);
  EXPECT_EQ(row.find("\"OUTPUT\""), std::string::npos);
  EXPECT_NE(row.find("search"), std::string::npos) << "the trace object stays";
}

}  // namespace
}  // namespace sidecast
