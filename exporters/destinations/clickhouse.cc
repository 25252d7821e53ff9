// exporters/destinations/clickhouse.cc: rows into a table of ClickHouse over HTTP, as JSONEachRow.
// Needs INSERT on the table, and CREATE TABLE where it is to make it. An insert is stored whole or
// not at all; what an error means follows from its code. Facts: reference "destinations-native" §3
// and §4.
#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "engine/base/sha256.h"
#include "engine/base/utf8.h"
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
     .help = "HTTP interface, e.g. https://name.region.clickhouse.cloud:8443 or http://host:8123.",
     .required = true},
    {.name = "database", .fallback = "default", .help = "Database of the table."},
    {.name = "table",
     .fallback = "SIDECAST_TRACES",
     .help = "Table; `sidecast test NAME --create-table` makes it, `sidecast ddl` prints how."},
    // With the password, so that new credentials apply to batches that wait.
    {.name = "username",
     .fallback = "",
     .help = "User, who needs INSERT on the table; default when absent.",
     .secret = true},
    {.name = "password", .fallback = "", .help = "The user's password.", .secret = true},
    {.name = "async_insert",
     .fallback = "auto",
     .help = "on, off, auto (on below 1000 rows) or server (what the server is set to)."},
    {.name = "deduplicate",
     .fallback = "true",
     .help = "Send a token by which the server knows a retry; the table must keep a window."},
    {.name = "settings",
     .fallback = "",
     .help = "Further settings of each insert: name=value,name2=value2."},
    {.name = "compression", .fallback = "gzip", .help = "none, gzip or zstd."},
    {.name = "batch_records_max",
     .fallback = "10000",
     .help = "Rows in one insert.",
     .tuning = true},
    {.name = "batch_bytes_max",
     .fallback = "16MiB",
     .help = "Uncompressed size of one insert.",
     .tuning = true},
};
constexpr Limits kLimitsMost{
    .batch_records_max = 100'000, .batch_spans_max = 1U << 20U, .batch_bytes_max = 64U << 20U};

// Fewer rows than this make parts too small: better the server gathers them.
constexpr std::size_t kRowsOfOwnPart = 1000;

enum class Class { kTransient, kMendable, kContent };
struct ErrorCode {
  int number;
  std::string_view name;
  Class meaning;
};
// The answer to create_table() when there is nothing to do; nobody inserting is told this.
constexpr int kTableExists = 57;
constexpr ErrorCode kErrors[] = {
    {16, "NO_SUCH_COLUMN_IN_TABLE", Class::kMendable},
    {25, "CANNOT_PARSE_ESCAPE_SEQUENCE", Class::kContent},
    {26, "CANNOT_PARSE_QUOTED_STRING", Class::kContent},
    {27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED", Class::kContent},
    {36, "BAD_ARGUMENTS", Class::kMendable},
    {38, "CANNOT_PARSE_DATE", Class::kContent},
    {41, "CANNOT_PARSE_DATETIME", Class::kContent},
    {50, "UNKNOWN_TYPE", Class::kMendable},
    {53, "TYPE_MISMATCH", Class::kContent},
    {kTableExists, "TABLE_ALREADY_EXISTS", Class::kMendable},
    {60, "UNKNOWN_TABLE", Class::kMendable},
    {62, "SYNTAX_ERROR", Class::kMendable},
    {70, "CANNOT_CONVERT_TYPE", Class::kContent},
    {73, "UNKNOWN_FORMAT", Class::kMendable},
    {81, "UNKNOWN_DATABASE", Class::kMendable},
    {89, "UNKNOWN_COMPRESSION_METHOD", Class::kMendable},
    {115, "UNKNOWN_SETTING", Class::kMendable},
    {117, "INCORRECT_DATA", Class::kContent},
    {131, "TOO_LARGE_STRING_SIZE", Class::kContent},
    {159, "TIMEOUT_EXCEEDED", Class::kTransient},
    {160, "TOO_SLOW", Class::kTransient},
    {164, "READONLY", Class::kMendable},
    {192, "UNKNOWN_USER", Class::kMendable},
    {193, "WRONG_PASSWORD", Class::kMendable},
    {194, "REQUIRED_PASSWORD", Class::kMendable},
    {202, "TOO_MANY_SIMULTANEOUS_QUERIES", Class::kTransient},
    {203, "NO_FREE_CONNECTION", Class::kTransient},
    {209, "SOCKET_TIMEOUT", Class::kTransient},
    {210, "NETWORK_ERROR", Class::kTransient},
    {241, "MEMORY_LIMIT_EXCEEDED", Class::kTransient},
    {242, "TABLE_IS_READ_ONLY", Class::kTransient},
    {243, "NOT_ENOUGH_SPACE", Class::kTransient},
    {252, "TOO_MANY_PARTS", Class::kTransient},
    {285, "TOO_FEW_LIVE_REPLICAS", Class::kTransient},
    {286, "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE", Class::kTransient},
    {319, "UNKNOWN_STATUS_OF_INSERT", Class::kTransient},
    {349, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN", Class::kContent},
    {394, "QUERY_WAS_CANCELLED", Class::kTransient},
    {425, "SYSTEM_ERROR", Class::kTransient},
    {439, "CANNOT_SCHEDULE_TASK", Class::kTransient},
    {497, "ACCESS_DENIED", Class::kMendable},
    {516, "AUTHENTICATION_FAILED", Class::kMendable},
    {574, "DISTRIBUTED_TOO_MANY_PENDING_BYTES", Class::kTransient},
    {999, "KEEPER_EXCEPTION", Class::kTransient},
};

// From the header of today's servers, else "Code: 60. DB::Exception: ..." of the body, which may
// also end an answer that began as a success.
const ErrorCode* error_of(const Response& response) {
  std::string_view digits = header_value(response, "x-clickhouse-exception-code");
  if (digits.empty()) {
    constexpr std::string_view kCode = "Code: ";
    const std::string_view body = response.body;
    const std::size_t at = body.rfind(kCode);
    const bool is_exception = at != std::string_view::npos &&
                              body.substr(at, 80).find("DB::Exception") != std::string_view::npos;
    if (!is_exception) return nullptr;
    digits = body.substr(at + kCode.size(), 6);
  }
  int number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const auto* const found = std::find_if(std::begin(kErrors), std::end(kErrors),
                                         [number](const auto& e) { return e.number == number; });
  return found == std::end(kErrors) ? nullptr : found;
}

// In backticks, as SQL wants names that may hold anything.
std::string quoted_name(std::string_view name) {
  std::string quoted = "`";
  for (const char c : name) {
    if (c == '`' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "`";
}

Status check_name(std::string_view option, std::string_view name) {
  const bool is_plain = is_valid_utf8(name) && std::none_of(name.begin(), name.end(), [](char c) {
                          return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
                        });
  if (!name.empty() && name.size() <= 200 && is_plain) return {};
  return fail(fmt::format("{} must be a name of 1 to 200 printable bytes", option));
}

// The SQL that makes the table: `statement` is how it begins.
std::string table_ddl(std::string_view statement, const OptionValues& options);

class ClickHouse final : public NativeExporter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<const Exporter>> make(const OptionValues& options);

  [[nodiscard]] Result<std::vector<Request>> encode(
      std::shared_ptr<const Batch> batch) const override;
  [[nodiscard]] Status authorise(Request& request, const Secrets& secrets,
                                 Timestamp now) const override;
  [[nodiscard]] Verdict judge(const Request& request, const Response& response,
                              Timestamp now) const override;
  // An insert of no rows: proves address, user, table and the right to insert.
  [[nodiscard]] Request probe(Timestamp) const override { return post(); }
  [[nodiscard]] std::optional<Request> create_table() const override;

 private:
  enum class Async { kAuto, kOn, kOff, kServer };
  [[nodiscard]] Status read_url_and_settings(const OptionValues& options);

  Async async_ = Async::kAuto;
  bool deduplicates_ = true;
  std::string table_url_;
  std::string table_sql_;
};

Result<std::unique_ptr<const Exporter>> ClickHouse::make(const OptionValues& options) {
  if (Status status = check_required(options, kOptions); !status) return fail(status.error());
  auto exporter = std::make_unique<ClickHouse>();
  static constexpr std::string_view kTaken[] = {"x-clickhouse-user", "x-clickhouse-key",
                                                "authorization"};
  for (Status status :
       {exporter->read_url_and_settings(options),
        exporter->read_headers(options, "application/x-ndjson", kTaken),
        exporter->read_encoder("clickhouse_row"), exporter->read_compression(options),
        exporter->read_limits(options, kLimitsMost)}) {
    if (!status) return fail(status.error());
  }
  static constexpr std::array<std::string_view, 4> kChoices = {"auto", "on", "off", "server"};
  const auto async = parse_choice("async_insert", options.get("async_insert"), kChoices);
  if (!async) return fail(async.error());
  const auto* const chosen = std::find(kChoices.begin(), kChoices.end(), *async);
  exporter->async_ = static_cast<Async>(chosen - kChoices.begin());
  const auto deduplicates = parse_flag("deduplicate", options.get("deduplicate"));
  if (!deduplicates) return fail(deduplicates.error());
  exporter->deduplicates_ = *deduplicates;
  exporter->table_sql_ = table_ddl("CREATE TABLE", options);
  return std::unique_ptr<const Exporter>(std::move(exporter));
}

Status ClickHouse::read_url_and_settings(const OptionValues& options) {
  const std::string_view database = trim_blanks(options.get("database"));
  const std::string_view table = trim_blanks(options.get("table"));
  if (Status status = check_name("database", database); !status) return status;
  if (Status status = check_name("table", table); !status) return status;
  if (Status status = read_url(options, "endpoint", "/"); !status) return status;
  table_url_ = url_;
  const std::string query = fmt::format("INSERT INTO {} FORMAT JSONEachRow", quoted_name(table));
  // Columns that the table has not are skipped, whatever the server's default is.
  url_ += fmt::format("?database={}&query={}&input_format_skip_unknown_fields=1",
                      uri_encode(database, false), uri_encode(query, false));
  const auto settings = parse_pairs("settings", options.get("settings"));
  if (!settings) return fail(settings.error());
  for (const auto& [name, value] : *settings) {
    url_ += fmt::format("&{}={}", uri_encode(name, false), uri_encode(value, false));
  }
  // A server's limit for one field of the head is 128 KiB.
  constexpr std::size_t kUrlBytesMax = 64U << 10U;
  if (url_.size() > kUrlBytesMax) return fail("settings are longer than a server takes");
  return {};
}

// The token is a function of the records, so that a retry of the batch has the same one.
Result<std::vector<Request>> ClickHouse::encode(std::shared_ptr<const Batch> batch) const {
  std::string ids;
  for (const BatchRecord& record : batch->records) {
    ids += record.generation_id;
    ids += '\n';
  }
  const bool is_async =
      async_ == Async::kOn || (async_ == Async::kAuto && batch->records.size() < kRowsOfOwnPart);
  auto requests = NativeExporter::encode(std::move(batch));
  if (!requests) return requests;
  std::string& url = requests->front().url;
  if (async_ != Async::kServer) {
    url += is_async ? "&async_insert=1&wait_for_async_insert=1" : "&async_insert=0";
    if (is_async && deduplicates_) url += "&async_insert_deduplicate=1";
  }
  if (deduplicates_) {
    url +=
        fmt::format("&insert_deduplication_token={}", to_hex(as_bytes(sha256(ids)).substr(0, 16)));
  }
  return requests;
}

// Without IF NOT EXISTS, so that the answer says whether the table was there. Settings of inserts
// are none of its.
std::optional<Request> ClickHouse::create_table() const {
  Request request = post(table_sql_);
  request.url = table_url_;
  set_header(request, "content-type", "text/plain");
  return request;
}

Status ClickHouse::authorise(Request& request, const Secrets& secrets, Timestamp) const {
  if (Status status = check_secrets(secrets, kOptions); !status) return status;
  const std::string_view user = reveal_secret(secrets, "username");
  const std::string_view password = reveal_secret(secrets, "password");
  set_header(request, "x-clickhouse-user", std::string(user.empty() ? "default" : user));
  if (!password.empty()) set_header(request, "x-clickhouse-key", std::string(password));
  return {};
}

Verdict ClickHouse::judge(const Request& request, const Response& response, Timestamp now) const {
  Verdict verdict = judge_native(request, response, now);
  if (response.failure != Response::Failure::kNone || is_html(response)) return verdict;
  const ErrorCode* const error = error_of(response);
  if (error == nullptr) return verdict;
  if (error->number == kTableExists && request.record_count == 0) {
    Verdict there;
    there.explanation = "the table was there";
    return there;
  }
  verdict.server_text = shown_text(request, server_text(response));
  switch (error->meaning) {
    case Class::kTransient:
      verdict.kind = Verdict::Kind::kRetry;
      verdict.retry_hint = retry_hint(response, now);
      verdict.explanation = explain(response, error->name, "");
      break;
    case Class::kMendable:
      verdict.kind = Verdict::Kind::kPause;
      verdict.explanation = explain(response, error->name, "check table, user and settings");
      break;
    case Class::kContent:
      verdict.kind = Verdict::Kind::kRejected;
      verdict.reason = RejectReason::kRejected;
      verdict.blames_content = true;  // one bad row fails the whole insert
      verdict.explanation = explain(response, error->name, "");
      break;
  }
  return verdict;
}

// ---- The table ----------------------------------------------------------------------------------

std::string type_of(const WarehouseColumn& column) {
  const auto nullable = [&column](std::string_view type) {
    return column.is_required ? std::string(type) : fmt::format("Nullable({})", type);
  };
  switch (column.type) {
    case ColumnType::kText:
      return nullable("String");
    case ColumnType::kTime:
      return nullable("DateTime64(3)");
    case ColumnType::kFloat:
      return nullable("Float64");
    case ColumnType::kInteger:
      return column.name == "SCHEMA_VERSION" ? "Int64 DEFAULT 1" : nullable("Int64");
    case ColumnType::kJson:
      return "String";
    case ColumnType::kTexts:
      return "Array(String)";
  }
  return "String";
}

std::string table_ddl(std::string_view statement, const OptionValues& options) {
  return fmt::format(
      "{} {}.{} (\n{}\n) ENGINE = MergeTree\n"
      "ORDER BY (TIMESTAMP, TRACE_ID, SPAN_ID)\n"
      "SETTINGS non_replicated_deduplication_window = 1000\n",
      statement, quoted_name(trim_blanks(options.get("database"))),
      quoted_name(trim_blanks(options.get("table"))), column_lines(&type_of, false));
}

std::string printed_ddl(const OptionValues& options) {
  return table_ddl("CREATE TABLE IF NOT EXISTS", options);
}

}  // namespace

namespace destinations {
const Destination clickhouse{.name = "clickhouse",
                             .summary = "A table of ClickHouse or ClickHouse Cloud",
                             .options = kOptions,
                             .make = &ClickHouse::make,
                             .table_ddl = &printed_ddl};
}  // namespace destinations

}  // namespace sidecast
