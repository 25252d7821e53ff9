// exporters/destinations/supabase.cc: rows into a PostgreSQL table through PostgREST, as Supabase
// and others offer it. An array of rows is stored whole or not at all; rows that are there already
// are left alone, so that a retry stores nothing twice. Facts: reference "destinations-native" §15.
#include <algorithm>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "exporters/destinations/answer.h"
#include "exporters/destinations/native.h"
#include "exporters/destinations/sigv4.h"
#include "exporters/encode/warehouse_row.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Option kOptions[] = {
    {.name = "endpoint",
     .fallback = "",
     .help = "Project URL, e.g. https://ref.supabase.co; or the base URL of a PostgREST.",
     .required = true},
    {.name = "api_key",
     .fallback = "",
     .help = "Secret key (or service_role key) that may insert into the table.",
     .secret = true,
     .required = true},
    {.name = "table",
     .fallback = "sidecast_traces",
     .help = "Table; `sidecast ddl supabase` prints what makes it."},
    {.name = "schema",
     .fallback = "public",
     .help = "Schema of the table; the API must expose it."},
    {.name = "path", .fallback = "/rest/v1", .help = "Path of PostgREST; / when it is the root."},
    {.name = "batch_records_max",
     .fallback = "500",
     .help = "Rows in one request.",
     .tuning = true},
    {.name = "batch_bytes_max", .fallback = "4MiB", .help = "Size of one request.", .tuning = true},
};
constexpr Limits kLimitsMost{
    .batch_records_max = 10'000, .batch_spans_max = 1U << 20U, .batch_bytes_max = 32U << 20U};

// PostgREST's own codes and PostgreSQL's SQLSTATEs.
struct ErrorCode {
  std::string_view code;
  Verdict::Kind kind;
};
constexpr ErrorCode kErrors[] = {
    {"PGRST000", Verdict::Kind::kRetry},  // it cannot connect to the database
    {"PGRST001", Verdict::Kind::kRetry}, {"PGRST002", Verdict::Kind::kRetry},
    {"PGRST003", Verdict::Kind::kRetry},  // no connection free in time
    {"53300", Verdict::Kind::kRetry},     // too many connections
    {"53400", Verdict::Kind::kRetry},    {"57014", Verdict::Kind::kRetry},  // statement timeout
    {"40001", Verdict::Kind::kRetry},                                       // serialization failure
    {"40P01", Verdict::Kind::kRetry},                                       // deadlock
    {"PGRST106", Verdict::Kind::kPause},                                    // schema not exposed
    {"PGRST204", Verdict::Kind::kPause},                                    // no such column
    {"PGRST205", Verdict::Kind::kPause},                                    // no such table
    {"PGRST301", Verdict::Kind::kPause},  // the key is no valid token
    {"PGRST302", Verdict::Kind::kPause}, {"42P01", Verdict::Kind::kPause},  // no such table
    {"42703", Verdict::Kind::kPause},                                       // no such column
    {"42P10", Verdict::Kind::kPause},     // no unique constraint for the conflict
    {"42501", Verdict::Kind::kPause},     // not allowed
    {"22P02", Verdict::Kind::kRejected},  // what was sent does not fit the column
    {"22P05", Verdict::Kind::kRejected}, {"22001", Verdict::Kind::kRejected},
    {"23502", Verdict::Kind::kRejected}, {"23514", Verdict::Kind::kRejected},
};

class Supabase final : public NativeExporter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<const Exporter>> make(const OptionValues& options);

  [[nodiscard]] Status authorise(Request& request, const Secrets& secrets,
                                 Timestamp now) const override;
  [[nodiscard]] Verdict judge(const Request& request, const Response& response,
                              Timestamp now) const override;
  // An insert of no rows: proves address, key, table and columns.
  [[nodiscard]] Request probe(Timestamp) const override { return post("[]"); }
};

bool is_identifier(std::string_view name) {
  return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

Result<std::unique_ptr<const Exporter>> Supabase::make(const OptionValues& options) {
  if (Status status = check_required(options, kOptions); !status) return fail(status.error());
  auto exporter = std::make_unique<Supabase>();
  const std::string_view table = trim_blanks(options.get("table"));
  const std::string_view schema = trim_blanks(options.get("schema"));
  for (const auto& [option, name] : {std::pair("table", table), std::pair("schema", schema)}) {
    if (!is_identifier(name)) {
      return fail(fmt::format("{} must be a name of letters, digits and _", option));
    }
  }
  std::string_view path = trim_blanks(options.get("path"));
  if (!path.starts_with('/')) return fail("path must begin with /, e.g. /rest/v1");
  while (path.ends_with('/')) path.remove_suffix(1);
  if (uri_encode(path, true) != path) return fail("path holds a character that no URL has");
  static constexpr std::string_view kTaken[] = {"apikey", "authorization", "prefer",
                                                "content-profile"};
  for (Status status :
       {exporter->read_url(options, "endpoint", path),
        exporter->read_headers(options, "application/json", kTaken),
        exporter->read_encoder("supabase_row"), exporter->read_limits(options, kLimitsMost)}) {
    if (!status) return fail(status.error());
  }
  exporter->url_ += fmt::format("/{}?on_conflict=trace_id,span_id", table);
  exporter->headers_.push_back({"content-profile", std::string(schema)});
  exporter->headers_.push_back({"prefer", "return=minimal,resolution=ignore-duplicates"});
  return std::unique_ptr<const Exporter>(std::move(exporter));
}

Status Supabase::authorise(Request& request, const Secrets& secrets, Timestamp) const {
  if (Status status = check_secrets(secrets, kOptions); !status) return status;
  const std::string_view key = reveal_secret(secrets, "api_key");
  set_header(request, "apikey", std::string(key));
  set_header(request, "authorization", fmt::format("Bearer {}", key));
  return {};
}

Verdict Supabase::judge(const Request& request, const Response& response, Timestamp now) const {
  Verdict verdict = judge_native(request, response, now);
  const bool is_refusal = response.failure == Response::Failure::kNone &&
                          verdict.kind != Verdict::Kind::kDelivered && response.status >= 300;
  if (!is_refusal) return verdict;
  const std::string code = json_member(response.body, "code");
  const auto* const error = std::find_if(std::begin(kErrors), std::end(kErrors),
                                         [&code](const auto& each) { return each.code == code; });
  if (error == std::end(kErrors)) return verdict;
  verdict.kind = error->kind;
  verdict.reason = RejectReason::kRejected;
  verdict.blames_content = error->kind == Verdict::Kind::kRejected;
  verdict.explanation =
      explain(response, error->code,
              error->kind == Verdict::Kind::kPause
                  ? "check table and key; `sidecast ddl supabase` prints the table"
                  : "");
  return verdict;
}

// ---- The table ----------------------------------------------------------------------------------

std::string type_of(const WarehouseColumn& column) {
  const std::string_view required = column.is_required ? " NOT NULL" : "";
  switch (column.type) {
    case ColumnType::kText:
      return fmt::format("text{}", required);
    case ColumnType::kTime:
      return fmt::format("timestamptz{}", required);
    case ColumnType::kFloat:
      return fmt::format("double precision{}", required);
    case ColumnType::kInteger:
      return fmt::format("bigint{}{}", required,
                         column.name == "SCHEMA_VERSION" ? " DEFAULT 1" : "");
    case ColumnType::kJson:
      return "jsonb";
    case ColumnType::kTexts:
      return "text[]";
  }
  return "text";
}

std::string table_ddl(const OptionValues& options) {
  return fmt::format(
      "CREATE TABLE IF NOT EXISTS \"{}\".\"{}\" (\n{},\n  PRIMARY KEY (trace_id, span_id)\n);\n",
      trim_blanks(options.get("schema")), trim_blanks(options.get("table")),
      column_lines(&type_of, true));
}

}  // namespace

namespace destinations {
const Destination supabase{.name = "supabase",
                           .summary = "A PostgreSQL table of Supabase, or behind any PostgREST",
                           .options = kOptions,
                           .make = &Supabase::make,
                           .table_ddl = &table_ddl};
}  // namespace destinations

}  // namespace sidecast
