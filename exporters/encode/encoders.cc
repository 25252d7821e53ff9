#include <algorithm>

#include "exporters/encode/console_line.h"
#include "exporters/encode/datadog_spans.h"
#include "exporters/encode/firehose_record.h"
#include "exporters/encode/otlp_json.h"
#include "exporters/encode/otlp_protobuf.h"
#include "exporters/encode/portkey_log.h"
#include "exporters/encode/posthog_event.h"
#include "exporters/encode/raindrop_event.h"
#include "exporters/encode/shrink.h"
#include "exporters/encode/trace_json.h"
#include "exporters/encode/warehouse_row.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Encoder kEncoders[] = {
    {.name = "otlp_protobuf",
     .content_type = "application/x-protobuf",
     .write = &encode_otlp_protobuf,
     .shrink = &shrink_otlp_protobuf,
     .prefix = "",
     .separator = "",
     .suffix = ""},
    {.name = "otlp_json",
     .content_type = "application/json",
     .write = &encode_otlp_json,
     .shrink = &shrink_otlp_json,
     .prefix = R"({"resourceSpans":[)",
     .separator = ",",
     .suffix = "]}"},
    // One record a line, each a whole request: what the Collector's file exporter and receiver
    // write and read.
    {.name = "otlp_json_lines",
     .content_type = "application/x-ndjson",
     .write = &encode_otlp_json,
     .shrink = &shrink_otlp_json,
     .prefix = R"({"resourceSpans":[)",
     .separator = "]}\n{\"resourceSpans\":[",
     .suffix = "]}\n"},
    {.name = "console_line",
     .content_type = "text/plain",
     .write = &encode_console_line,
     .prefix = "",
     .separator = "\n",
     .suffix = "\n"},
    {.name = "console_line_without_content",
     .content_type = "text/plain",
     .write = &encode_console_line_without_content,
     .prefix = "",
     .separator = "\n",
     .suffix = "\n"},
    // Alone it is one JSON document; several are JSON Lines.
    {.name = "trace_json",
     .content_type = "application/json",
     .write = &encode_trace_json,
     .shrink = &shrink_trace_json,
     .prefix = "",
     .separator = "\n",
     .suffix = ""},
    {.name = "clickhouse_row",
     .content_type = "application/x-ndjson",
     .write = &encode_clickhouse_row,
     .shrink = &shrink_json_objects,
     .prefix = "",
     .separator = "\n",
     .suffix = ""},
    {.name = "bigquery_row",
     .content_type = "application/json",
     .write = &encode_bigquery_row,
     .shrink = &shrink_json_objects,
     .prefix = R"({"skipInvalidRows":true,"ignoreUnknownValues":true,"rows":[)",
     .separator = ",",
     .suffix = "]}"},
    {.name = "snowflake_row",
     .content_type = "application/json",
     .write = &encode_snowflake_row,
     .shrink = &shrink_snowflake_row,
     .prefix = "\"[",
     .separator = ",",
     .suffix = "]\""},
    {.name = "supabase_row",
     .content_type = "application/json",
     .write = &encode_supabase_row,
     .shrink = &shrink_json_objects,
     .prefix = "[",
     .separator = ",",
     .suffix = "]"},
    {.name = "datadog_spans",
     .content_type = "application/json",
     .write = &encode_datadog_spans,
     .shrink = &shrink_json_objects,
     .prefix = "",
     .separator = ",",
     .suffix = ""},
    {.name = "posthog_event",
     .content_type = "application/json",
     .write = &encode_posthog_event,
     .shrink = &shrink_json_objects,
     .prefix = "",
     .separator = ",",
     .suffix = "]}"},
    {.name = "posthog_tree",
     .content_type = "application/json",
     .write = &encode_posthog_tree,
     .shrink = &shrink_json_objects,
     .prefix = "",
     .separator = ",",
     .suffix = "]}"},
    {.name = "raindrop_event",
     .content_type = "application/json",
     .write = &encode_raindrop_event,
     .shrink = &shrink_json_objects,
     .prefix = "[",
     .separator = ",",
     .suffix = "]"},
    {.name = "portkey_log",
     .content_type = "application/json",
     .write = &encode_portkey_log,
     .shrink = &shrink_json_objects,
     .prefix = "[",
     .separator = ",",
     .suffix = "]"},
    {.name = "firehose_record",
     .content_type = "application/x-amz-json-1.1",
     .write = &encode_firehose_record,
     .shrink = &shrink_firehose_record,
     .prefix = "",
     .separator = ",",
     .suffix = ""},
};

}  // namespace

std::span<const Encoder> encoders() noexcept {
  return kEncoders;
}

const Encoder* find_encoder(std::string_view name) noexcept {
  const auto* const found =
      std::find_if(std::begin(kEncoders), std::end(kEncoders),
                   [name](const auto& encoder) { return encoder.name == name; });
  return found == std::end(kEncoders) ? nullptr : found;
}

}  // namespace sidecast
