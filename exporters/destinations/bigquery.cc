// exporters/destinations/bigquery.cc: rows streamed into a table of Google BigQuery
// (tabledata.insertAll). The service account needs BigQuery Data Editor on the dataset. A 200 may
// hide failures: insertErrors names the rows. Facts: reference "destinations-native" §3 and §6.
#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <simdjson.h>

#include "exporters/destinations/answer.h"
#include "exporters/destinations/google_token.h"
#include "exporters/destinations/native.h"
#include "exporters/encode/warehouse_row.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Option kOptions[] = {
    {.name = "project_id", .fallback = "", .help = "Google Cloud project.", .required = true},
    {.name = "service_account_key",
     .fallback = "",
     .help = "JSON of the service account's key, e.g. ${file:/etc/sidecast/key.json}.",
     .secret = true,
     .required = true},
    {.name = "dataset", .fallback = "sidecast", .help = "Dataset of the table."},
    {.name = "table",
     .fallback = "sidecast_traces",
     .help = "Table; `sidecast ddl bigquery` prints what makes it."},
    {.name = "endpoint",
     .fallback = "https://bigquery.googleapis.com",
     .help = "Address of the API."},
    {.name = "compression", .fallback = "gzip", .help = "none or gzip."},
    {.name = "batch_records_max",
     .fallback = "500",
     .help = "Rows in one request.",
     .tuning = true},
    {.name = "batch_bytes_max",
     .fallback = "8MiB",
     .help = "Uncompressed size of one request; BigQuery takes 10 MB.",
     .tuning = true},
};
constexpr Limits kLimitsMost{
    .batch_records_max = 50'000, .batch_spans_max = 1U << 20U, .batch_bytes_max = 9U << 20U};
constexpr std::string_view kScope = "https://www.googleapis.com/auth/bigquery";

// Of a row or of a whole answer: a bad moment, nothing wrong with what was sent.
constexpr std::array<std::string_view, 7> kTransient = {
    "stopped",         "backendError",      "internalError", "timeout",
    "jobBackendError", "rateLimitExceeded", "quotaExceeded"};
constexpr std::array<std::string_view, 8> kKnown = {
    "invalid",      "notFound",    "accessDenied",      "duplicate",
    "invalidQuery", "rowTooLarge", "billingNotEnabled", "tableUnavailable"};

template <std::size_t kCount>
std::string_view known(std::string_view code, const std::array<std::string_view, kCount>& codes) {
  const auto* const found = std::find(codes.begin(), codes.end(), code);
  return found == codes.end() ? std::string_view() : *found;
}

std::string_view reason_of(const simdjson::dom::element& errors) {
  simdjson::dom::array list;
  if (errors.get(list) != simdjson::SUCCESS) return {};
  for (const simdjson::dom::element error : list) {
    std::string_view reason;
    if (error["reason"].get(reason) == simdjson::SUCCESS) return reason;
  }
  return {};
}

constexpr std::string_view kAskForRights = ":testIamPermissions";
constexpr std::string_view kRight = "bigquery.tables.updateData";

class BigQuery final : public NativeExporter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<const Exporter>> make(const OptionValues& options);

  [[nodiscard]] Status authorise(Request& request, const Secrets& secrets,
                                 Timestamp now) const override;
  [[nodiscard]] Verdict judge(const Request& request, const Response& response,
                              Timestamp now) const override;
  [[nodiscard]] Request probe(Timestamp now) const override;
  [[nodiscard]] Result<std::optional<Request>> token_request(const Secrets& secrets,
                                                             Timestamp now) const override {
    return token_.request(reveal_secret(secrets, "service_account_key"), now);
  }
  [[nodiscard]] Verdict take_token(const Request& request, const Response& response,
                                   Timestamp now) const override {
    return token_.take(request, response, now);
  }

 private:
  std::string table_url_;
  mutable GoogleToken token_{std::string(kScope)};
};

Status check_name(std::string_view option, std::string_view name, std::string_view more) {
  const bool is_plain = std::all_of(name.begin(), name.end(), [more](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           more.find(c) != std::string_view::npos;
  });
  if (!name.empty() && name.size() <= 1024 && is_plain) return {};
  return fail(fmt::format("{} must be a name of letters, digits and {}", option, more));
}

Result<std::unique_ptr<const Exporter>> BigQuery::make(const OptionValues& options) {
  if (Status status = check_required(options, kOptions); !status) return fail(status.error());
  auto exporter = std::make_unique<BigQuery>();
  const std::string_view project = trim_blanks(options.get("project_id"));
  const std::string_view dataset = trim_blanks(options.get("dataset"));
  const std::string_view table = trim_blanks(options.get("table"));
  static constexpr std::string_view kTaken[] = {"authorization"};
  for (Status status :
       {check_name("project_id", project, "-.:_"), check_name("dataset", dataset, "_"),
        check_name("table", table, "-_"), exporter->read_url(options, "endpoint", ""),
        exporter->read_headers(options, "application/json", kTaken),
        exporter->read_encoder("bigquery_row"), exporter->read_compression(options),
        exporter->read_limits(options, kLimitsMost)}) {
    if (!status) return fail(status.error());
  }
  if (exporter->format_.compression == Compression::kZstd) {
    return fail("compression must be none or gzip: BigQuery takes no zstd");
  }
  exporter->table_url_ = fmt::format("{}/bigquery/v2/projects/{}/datasets/{}/tables/{}",
                                     exporter->url_, project, dataset, table);
  exporter->url_ = exporter->table_url_ + "/insertAll";
  return std::unique_ptr<const Exporter>(std::move(exporter));
}

Status BigQuery::authorise(Request& request, const Secrets& secrets, Timestamp) const {
  const std::string_view key = reveal_secret(secrets, "service_account_key");
  if (key.empty()) return fail("service_account_key is missing: JSON of the account's key");
  const auto token = token_.text(key);
  if (!token) return fail(token.error());
  set_header(request, "authorization", fmt::format("Bearer {}", *token));
  return {};
}

// {"insertErrors":[{"index":1,"errors":[{"reason":"invalid",...}]}]}; rows that it does not name
// are in the table.
Verdict judge_rows(const Request& request, const Response& response) {
  Verdict verdict;
  simdjson::dom::parser parser;
  simdjson::dom::array errors;
  if (parser.parse(response.body.data(), response.body.size())["insertErrors"].get(errors) !=
          simdjson::SUCCESS ||
      errors.size() == 0) {
    return verdict;
  }
  verdict.kind = Verdict::Kind::kPartial;
  verdict.reason = RejectReason::kPartial;
  verdict.items.assign(request.record_count, ItemFate::kDelivered);
  std::string_view first_reason;
  for (const simdjson::dom::element error : errors) {
    std::uint64_t index = 0;
    if (error["index"].get(index) != simdjson::SUCCESS) index = 0;  // proto3 leaves out zeros
    if (index >= verdict.items.size()) continue;
    simdjson::dom::element list;
    const std::string_view reason =
        error["errors"].get(list) == simdjson::SUCCESS ? reason_of(list) : std::string_view();
    const std::string_view transient = known(reason, kTransient);
    verdict.items[index] = transient.empty() ? ItemFate::kRejected : ItemFate::kRetry;
    if (first_reason.empty()) first_reason = transient.empty() ? known(reason, kKnown) : transient;
  }
  const auto count = [&verdict](ItemFate fate) {
    return std::count(verdict.items.begin(), verdict.items.end(), fate);
  };
  verdict.explanation = explain(response, first_reason,
                                fmt::format("rows refused: {}, to be sent again: {}",
                                            count(ItemFate::kRejected), count(ItemFate::kRetry)));
  return verdict;
}

// {"permissions":["bigquery.tables.updateData"]}: those of the asked ones that the account has. A
// 200 without any means that it may do nothing.
Verdict judge_right(const Response& response) {
  Verdict verdict;
  simdjson::dom::parser parser;
  simdjson::dom::array rights;
  if (parser.parse(response.body.data(), response.body.size())["permissions"].get(rights) ==
      simdjson::SUCCESS) {
    for (const simdjson::dom::element right : rights) {
      std::string_view name;
      if (right.get(name) == simdjson::SUCCESS && name == kRight) return verdict;
    }
  }
  verdict.kind = Verdict::Kind::kPause;
  verdict.explanation =
      explain(response, "", fmt::format("the account lacks {} on the table", kRight));
  return verdict;
}

Verdict BigQuery::judge(const Request& request, const Response& response, Timestamp now) const {
  Verdict verdict = judge_native(request, response, now);
  if (response.failure != Response::Failure::kNone) return verdict;
  if (verdict.kind == Verdict::Kind::kDelivered) {
    return request.url.ends_with(kAskForRights) ? judge_right(response)
                                                : judge_rows(request, response);
  }
  if (response.status == 401) token_.forget();  // revoked: the next attempt buys another
  simdjson::dom::parser parser;
  simdjson::dom::element errors;
  if (parser.parse(response.body.data(), response.body.size())["error"]["errors"].get(errors) !=
      simdjson::SUCCESS) {
    return verdict;
  }
  const std::string_view reason = reason_of(errors);
  if (const std::string_view transient = known(reason, kTransient); !transient.empty()) {
    // A quota is a 403 here.
    verdict.kind = Verdict::Kind::kRetry;
    verdict.retry_hint = retry_hint(response, now);
    verdict.explanation = explain(response, transient, "");
  } else if (const std::string_view name = known(reason, kKnown); !name.empty()) {
    const bool is_pause = verdict.kind == Verdict::Kind::kPause;
    verdict.explanation = explain(
        response, name, is_pause ? "check project, dataset, table and the account's role" : "");
  }
  return verdict;
}

// Asks for the one right that is needed; stores nothing.
Request BigQuery::probe(Timestamp) const {
  Request request = post(fmt::format(R"({{"permissions":["{}"]}})", kRight));
  request.url = fmt::format("{}{}", table_url_, kAskForRights);
  return request;
}

// ---- The table ----------------------------------------------------------------------------------

std::string type_of(const WarehouseColumn& column) {
  const std::string_view required = column.is_required ? " NOT NULL" : "";
  switch (column.type) {
    case ColumnType::kText:
      return fmt::format("STRING{}", required);
    case ColumnType::kTime:
      return fmt::format("TIMESTAMP{}", required);
    case ColumnType::kFloat:
      return fmt::format("FLOAT64{}", required);
    case ColumnType::kInteger:
      return column.name == "SCHEMA_VERSION" ? "INT64 DEFAULT 1" : fmt::format("INT64{}", required);
    case ColumnType::kJson:
      return "JSON";
    case ColumnType::kTexts:
      return "ARRAY<STRING>";
  }
  return "STRING";
}

std::string table_ddl(const OptionValues& options) {
  return fmt::format(
      "CREATE TABLE IF NOT EXISTS `{}.{}` (\n{}\n)\nPARTITION BY DATE(timestamp)\n"
      "CLUSTER BY entity_id, trace_id;\n",
      trim_blanks(options.get("dataset")), trim_blanks(options.get("table")),
      column_lines(&type_of, true));
}

}  // namespace

namespace destinations {
const Destination bigquery{.name = "bigquery",
                           .summary = "A table of Google BigQuery, by streaming inserts",
                           .options = kOptions,
                           .make = &BigQuery::make,
                           .table_ddl = &table_ddl};
}  // namespace destinations

}  // namespace sidecast
