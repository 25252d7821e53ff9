// One record as one row of a table: the 39 columns that ClickHouse, Snowflake, BigQuery and
// PostgreSQL share (reference "destinations-native" §3), which differ only in how names, times and
// JSON are spelt. One row for a request or an explicit span; the generic dialect fills ATTRIBUTES.
//
// Content stands in INPUT and OUTPUT once, not in ATTRIBUTES again; in privacy mode the trace has
// none, and the columns stay empty. What is absent is left out, so that a column's default holds.
#pragma once

#include <span>
#include <string>

#include "engine/base/bytes.h"
#include "engine/model/span.h"
#include "engine/model/trace.h"

namespace sidecast {

enum class ColumnType { kText, kTime, kFloat, kInteger, kJson, kTexts };

struct WarehouseColumn {
  Text name;  // upper case
  ColumnType type;
  bool is_required = false;  // every row has it
};

// In the order of the rows.
[[nodiscard]] std::span<const WarehouseColumn> warehouse_columns() noexcept;

enum class RowTime {
  kMilliseconds,  // since 1970, an integer
  kSecondsText,   // since 1970, "1700000000.250"
  kRfc3339,       // "2023-11-14T22:13:20.250Z"
};

struct RowForm {
  RowTime time = RowTime::kMilliseconds;
  bool is_lower_case = false;   // the names
  bool has_json_texts = false;  // JSON columns as texts that hold it; else as what it is
  bool has_nulls = false;       // absent values are null: every row has the same keys
};

// Appends {"TRACE_ID":...,...} on one line. Every Text must be valid UTF-8.
void write_warehouse_row(const Trace& trace, const SpanSet& set, const RowForm& form,
                         ByteBuffer& out);

// ClickHouse's JSONEachRow.
void encode_clickhouse_row(const Trace& trace, const SpanSet& set, ByteBuffer& out);
// {"insertId":...,"json":{...}} of BigQuery's insertAll.
void encode_bigquery_row(const Trace& trace, const SpanSet& set, ByteBuffer& out);
// A row as the inside of a JSON text: Snowflake gets all rows in one bound value.
void encode_snowflake_row(const Trace& trace, const SpanSet& set, ByteBuffer& out);
// A row of PostgREST: the same keys in each, no zero bytes, which PostgreSQL cannot hold.
void encode_supabase_row(const Trace& trace, const SpanSet& set, ByteBuffer& out);

// "NAME TYPE, ..." lines of a CREATE TABLE, by what `type_of` says; shared by all DDLs.
[[nodiscard]] std::string column_lines(std::string (*type_of)(const WarehouseColumn&),
                                       bool is_lower_case);

}  // namespace sidecast
