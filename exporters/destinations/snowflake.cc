// exporters/destinations/snowflake.cc: rows into a table of Snowflake by its SQL API, with a
// programmatic access token. All rows of a batch are one bound text that the statement takes apart.
// The role needs USAGE on database, schema and warehouse, and INSERT on the table. Facts: reference
// "destinations-native" §3 and §5.2.
#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "engine/base/sha256.h"
#include "engine/base/utf8.h"
#include "exporters/destinations/answer.h"
#include "exporters/destinations/native.h"
#include "exporters/encode/warehouse_row.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Option kOptions[] = {
    {.name = "account",
     .fallback = "",
     .help = "Account identifier, e.g. eac52885.us-east-1 or org-account.",
     .required = true},
    {.name = "token",
     .fallback = "",
     .help = "Programmatic access token.",
     .secret = true,
     .required = true},
    {.name = "database", .fallback = "SNOWFLAKE_LEARNING_DB", .help = "Database of the table."},
    {.name = "schema", .fallback = "PUBLIC", .help = "Schema of the table."},
    {.name = "table",
     .fallback = "SIDECAST_TRACES",
     .help = "Table; `sidecast ddl snowflake` prints what makes it."},
    {.name = "warehouse", .fallback = "COMPUTE_WH", .help = "Warehouse that runs the inserts."},
    {.name = "role", .fallback = "", .help = "Role; the token's own when absent."},
    {.name = "endpoint",
     .fallback = "",
     .help = "Other address than the account's, e.g. of a private link."},
    {.name = "batch_records_max",
     .fallback = "5000",
     .help = "Rows in one statement; each keeps a warehouse awake.",
     .tuning = true},
    {.name = "batch_bytes_max", .fallback = "4MiB", .help = "Size of one request.", .tuning = true},
};
constexpr Limits kLimitsMost{
    .batch_records_max = 50'000, .batch_spans_max = 1U << 20U, .batch_bytes_max = 8U << 20U};
constexpr std::string_view kPath = "/api/v2/statements";
constexpr int kStatementSecondsMax = 60;
// How long a statement that still runs is left alone between two questions.
constexpr Milliseconds kPollPause{1000};

// Of a 422. Numbers that begin with 100 are about values that do not fit their columns.
struct ErrorCode {
  std::string_view code;
  std::string_view advice;
};
constexpr ErrorCode kMendable[] = {
    {"000606", "no warehouse is active: check warehouse and role"},
    {"000904", "the table lacks a column: see `sidecast ddl snowflake`"},
    {"001003", "check database, schema and table"},
    {"002003", "no such table, or no right to it: see `sidecast ddl snowflake`"},
    {"002043", "no such object, or no right to it"},
    {"003001", "the role may not insert into the table"},
    {"090105", "check database and schema"},
    {"390201", "check warehouse and role"},
    {"390189", "check role"},
    {"390303", "the token is not valid"},
    {"390318", "the token has expired"},
    {"390422", "the token's network policy does not allow this address"}};

std::string quoted_name(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

Status check_name(std::string_view option, std::string_view name) {
  const bool is_plain = is_valid_utf8(name) && std::none_of(name.begin(), name.end(), [](char c) {
                          return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
                        });
  if (!name.empty() && name.size() <= 255 && is_plain) return {};
  return fail(fmt::format("{} must be a name of 1 to 255 printable bytes", option));
}

// ^[a-zA-Z0-9_]+(?:[.-][a-zA-Z0-9_]+)*$
bool is_account(std::string_view account) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (account.empty() || account.size() > 255 || !is_word(account.front()) ||
      !is_word(account.back())) {
    return false;
  }
  for (std::size_t i = 0; i < account.size(); ++i) {
    const bool is_separator = account[i] == '.' || account[i] == '-';
    if (!is_word(account[i]) && !(is_separator && is_word(account[i - 1]))) return false;
  }
  return true;
}

// INSERT ... VALUES cannot call PARSE_JSON. A key that a row has not is SQL's NULL.
std::string insert_statement(const std::string& table) {
  std::string names;
  std::string values;
  for (const WarehouseColumn& column : warehouse_columns()) {
    const std::string_view separator = names.empty() ? "" : ", ";
    names += fmt::format("{}{}", separator, column.name);
    values += separator;
    switch (column.type) {
      case ColumnType::kText:
        values += fmt::format("f.value:{}::VARCHAR", column.name);
        break;
      case ColumnType::kTime:
        values += fmt::format("TO_TIMESTAMP_NTZ(f.value:{}::NUMBER, 3)", column.name);
        break;
      case ColumnType::kFloat:
        values += fmt::format("f.value:{}::FLOAT", column.name);
        break;
      case ColumnType::kInteger:
        values += fmt::format("f.value:{}::NUMBER", column.name);
        break;
      case ColumnType::kJson:
        values += fmt::format("f.value:{}", column.name);
        break;
      case ColumnType::kTexts:
        values += fmt::format("f.value:{}::ARRAY", column.name);
        break;
    }
  }
  return fmt::format("INSERT INTO {} ({}) SELECT {} FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?))) f",
                     table, names, values);
}

// Eight, four, four, four, twelve hex digits. RFC 9562 §5.8: of a hash of our choice.
std::string uuid_of(const Sha256& hash) {
  std::string hex = to_hex(as_bytes(hash).substr(0, 16));
  hex[12] = '8';
  hex[16] = "89ab"[static_cast<unsigned>(hash[8]) % 4];
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4),
                     hex.substr(16, 4), hex.substr(20, 12));
}

class Snowflake final : public NativeExporter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<const Exporter>> make(const OptionValues& options);

  [[nodiscard]] Result<std::vector<Request>> encode(
      std::shared_ptr<const Batch> batch) const override;
  [[nodiscard]] Status authorise(Request& request, const Secrets& secrets,
                                 Timestamp now) const override;
  [[nodiscard]] Verdict judge(const Request& request, const Response& response,
                              Timestamp now) const override;
  [[nodiscard]] Request probe(Timestamp now) const override;

 private:
  [[nodiscard]] Status read_names(const OptionValues& options);

  std::string table_;    // quoted, with database and schema
  std::string context_;  // members of a request that say where it runs
};

Result<std::unique_ptr<const Exporter>> Snowflake::make(const OptionValues& options) {
  if (Status status = check_required(options, kOptions); !status) return fail(status.error());
  auto exporter = std::make_unique<Snowflake>();
  std::string account(trim_blanks(options.get("account")));
  if (!is_account(account)) {
    return fail("account is no account identifier, e.g. eac52885.us-east-1 or org-account");
  }
  if (trim_blanks(options.get("endpoint")).empty()) {
    // No certificate covers a name with an underscore.
    std::replace(account.begin(), account.end(), '_', '-');
    exporter->url_ = fmt::format("https://{}.snowflakecomputing.com{}", account, kPath);
  } else if (Status status = exporter->read_url(options, "endpoint", kPath); !status) {
    return fail(status.error());
  }
  static constexpr std::string_view kTaken[] = {"authorization", "accept",
                                                "x-snowflake-authorization-token-type"};
  for (Status status :
       {exporter->read_names(options), exporter->read_headers(options, "application/json", kTaken),
        exporter->read_encoder("snowflake_row"), exporter->read_limits(options, kLimitsMost)}) {
    if (!status) return fail(status.error());
  }
  exporter->headers_.push_back({"accept", "application/json"});
  exporter->format_.envelope = Envelope{
      .prefix = fmt::format(R"({{"statement":{},{},"bindings":{{"1":{{"type":"TEXT","value":"[)",
                            json_string(insert_statement(exporter->table_)), exporter->context_),
      .suffix = "]\"}}}"};
  return std::unique_ptr<const Exporter>(std::move(exporter));
}

Status Snowflake::read_names(const OptionValues& options) {
  const auto get = [&options](std::string_view name) { return trim_blanks(options.get(name)); };
  context_ = fmt::format(R"("timeout":{})", kStatementSecondsMax);
  for (const std::string_view name : {"database", "schema", "table", "warehouse", "role"}) {
    if (name == "role" && get(name).empty()) continue;
    if (Status status = check_name(name, get(name)); !status) return status;
    if (name != "table") context_ += fmt::format(R"(,"{}":{})", name, json_string(get(name)));
  }
  table_ = fmt::format("{}.{}.{}", quoted_name(get("database")), quoted_name(get("schema")),
                       quoted_name(get("table")));
  return {};
}

// The id of the request is a function of its records: Snowflake runs a request that it has seen
// once, however often it comes.
Result<std::vector<Request>> Snowflake::encode(std::shared_ptr<const Batch> batch) const {
  std::string ids = table_;
  for (const BatchRecord& record : batch->records) {
    ids += '\n';
    ids += record.generation_id;
  }
  auto requests = NativeExporter::encode(std::move(batch));
  if (!requests) return requests;
  requests->front().url += fmt::format("?requestId={}&retry=true", uuid_of(sha256(ids)));
  return requests;
}

Status Snowflake::authorise(Request& request, const Secrets& secrets, Timestamp) const {
  if (Status status = check_secrets(secrets, kOptions); !status) return status;
  set_header(request, "authorization", fmt::format("Bearer {}", reveal_secret(secrets, "token")));
  set_header(request, "x-snowflake-authorization-token-type", "PROGRAMMATIC_ACCESS_TOKEN");
  return {};
}

Verdict Snowflake::judge(const Request& request, const Response& response, Timestamp now) const {
  Verdict verdict = judge_native(request, response, now);
  if (response.failure != Response::Failure::kNone || is_html(response)) return verdict;
  if (response.status == 202) {
    const std::string handle = json_member(response.body, "statementHandle");
    const bool is_handle = !handle.empty() && handle.size() <= 64 &&
                           handle.find_first_not_of("0123456789abcdefABCDEF-") == handle.npos;
    if (!is_handle) {
      verdict.kind = Verdict::Kind::kRetry;
      verdict.explanation = explain(response, "", "it still runs, and has no handle");
      return verdict;
    }
    // It still runs: its handle tells when it has ended.
    Request poll = post();
    poll.method = "GET";
    poll.url = fmt::format("{}/{}", url_, handle);
    poll.record_first = request.record_first;
    poll.record_count = request.record_count;
    verdict.followup = std::move(poll);
    verdict.retry_hint = kPollPause;
    return verdict;
  }
  if (verdict.kind == Verdict::Kind::kDelivered) return verdict;
  const std::string code = json_member(response.body, "code");
  const auto* const mendable =
      std::find_if(std::begin(kMendable), std::end(kMendable),
                   [&code](const auto& each) { return each.code == code; });
  if (mendable != std::end(kMendable)) {
    verdict.kind = Verdict::Kind::kPause;
    verdict.explanation = explain(response, mendable->code, mendable->advice);
  } else if (response.status == 422) {
    verdict.blames_content = code.empty() || code.starts_with("100");
  }
  return verdict;
}

// Parses and plans an insert into the table without storing a row.
Request Snowflake::probe(Timestamp) const {
  const std::string statement =
      fmt::format("INSERT INTO {} (TRACE_ID, SPAN_ID) SELECT TRACE_ID, SPAN_ID FROM {} WHERE FALSE",
                  table_, table_);
  return post(fmt::format(R"({{"statement":{},{}}})", json_string(statement), context_));
}

// ---- The table ----------------------------------------------------------------------------------

std::string type_of(const WarehouseColumn& column) {
  const std::string_view required = column.is_required ? " NOT NULL" : "";
  switch (column.type) {
    case ColumnType::kText: {
      const bool is_id =
          column.name == "TRACE_ID" || column.name == "SPAN_ID" || column.name == "PARENT_SPAN_ID";
      return fmt::format("VARCHAR({}){}", is_id ? 512 : 1024, required);
    }
    case ColumnType::kTime:
      return fmt::format("TIMESTAMP_NTZ{}", required);
    case ColumnType::kFloat:
      return fmt::format("FLOAT{}", required);
    case ColumnType::kInteger:
      return column.name == "SCHEMA_VERSION" ? "NUMBER DEFAULT 1"
                                             : fmt::format("NUMBER{}", required);
    case ColumnType::kJson:
      return "VARIANT";
    case ColumnType::kTexts:
      return "ARRAY";
  }
  return "VARCHAR";
}

std::string table_ddl(const OptionValues& options) {
  return fmt::format("CREATE TABLE IF NOT EXISTS {}.{}.{} (\n{}\n);\n",
                     quoted_name(trim_blanks(options.get("database"))),
                     quoted_name(trim_blanks(options.get("schema"))),
                     quoted_name(trim_blanks(options.get("table"))), column_lines(&type_of, false));
}

}  // namespace

namespace destinations {
const Destination snowflake{.name = "snowflake",
                            .summary = "A table of Snowflake, by its SQL API",
                            .options = kOptions,
                            .make = &Snowflake::make,
                            .table_ddl = &table_ddl};
}  // namespace destinations

}  // namespace sidecast
