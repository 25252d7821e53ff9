// Every row of the preset tables against what its backend documents: where requests go, which
// headers and resource attributes they carry, how they are encoded. The expected values are written
// out, not computed.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Timestamp kNow = Timestamp(std::chrono::seconds(1'700'000'000));

using Values = std::map<std::string, std::string>;

struct Row {
  std::string type;
  Values options;
  Values secrets;
  std::string url;
  Values headers;   // all but content-type and content-encoding
  Values resource;  // beyond service.name
  std::string encoder = "otlp_protobuf";
  Compression compression = Compression::kGzip;
  std::uint64_t batch_bytes_max = 4U << 20U;
};

void PrintTo(const Row& row, std::ostream* out) {
  *out << row.type << " " << row.url;
}

Result<std::unique_ptr<const Exporter>> make(const std::string& type, const Values& values) {
  const Destination* const destination = find_destination_type(type);
  if (destination == nullptr) return fail("no type " + type);
  OptionValues options;
  for (const Option& option : destination->options) {
    if (!option.secret) options.values.emplace(option.name, option.fallback);
  }
  for (const auto& [name, value] : values) {
    EXPECT_TRUE(options.values.contains(name)) << type << " has no option " << name;
    options.values.insert_or_assign(name, value);
  }
  return destination->make(options);
}

Request request_of(const Exporter& exporter, const Values& secrets) {
  auto batch = std::make_shared<Batch>();
  batch->records.resize(1);
  batch->body = std::make_shared<const std::string>("frozen");
  Request request = std::move(exporter.encode(std::move(batch))->at(0));
  Secrets opened;
  for (const auto& [name, value] : secrets) opened.emplace(name, Secret(value));
  const Status status = exporter.authorise(request, opened, kNow);
  EXPECT_TRUE(status) << status.error().message();
  return request;
}

class OtlpPreset : public ::testing::TestWithParam<Row> {};

TEST_P(OtlpPreset, SendsWhatItsBackendReads) {
  const Row& row = GetParam();
  const auto exporter = make(row.type, row.options);
  ASSERT_TRUE(exporter) << exporter.error().message();
  const Request request = request_of(**exporter, row.secrets);
  EXPECT_EQ(request.url, row.url);
  EXPECT_EQ(request.method, "POST");
  Values headers;
  for (const Header& header : request.headers) headers.emplace(header.name, header.value);
  headers.erase("content-type");
  EXPECT_EQ(headers, row.headers);
  const Format& format = (*exporter)->format();
  Values resource;
  for (const auto& [name, value] : format.dialect_options.resource) resource.emplace(name, value);
  if (!row.resource.contains("service.name")) resource.erase("service.name");
  EXPECT_EQ(resource, row.resource);
  EXPECT_EQ(format.encoder->name, row.encoder);
  EXPECT_EQ(format.compression, row.compression);
  EXPECT_EQ(format.limits.batch_bytes_max, row.batch_bytes_max);
}

const Values kKey = {{"api_key", "key-1"}};
const Values kBearerKey = {{"authorization", "Bearer key-1"}};
constexpr std::uint64_t kMb = 1'000'000;
constexpr std::uint64_t kMib = 1U << 20U;

const std::vector<Row> kRows = {
    {.type = "arize",
     .options = {{"project", "p"}, {"region", "eu"}},
     .secrets = {{"api_key", "key-1"}, {"space_key", "space-1"}},
     .url = "https://otlp.eu-west-1a.arize.com/v1/traces",
     .headers = {{"authorization", "key-1"},
                 {"arize-space-id", "space-1"},
                 {"api_key", "key-1"},
                 {"space_id", "space-1"}},
     .resource = {{"openinference.project.name", "p"}, {"model_id", "p"}}},
    {.type = "axiom",
     .options = {{"dataset", "traces"}},
     .secrets = {{"api_token", "xaat-1"}},
     .url = "https://api.axiom.co/v1/traces",
     .headers = {{"authorization", "Bearer xaat-1"}, {"x-axiom-dataset", "traces"}},
     .compression = Compression::kZstd},
    {.type = "axiom",
     .options = {{"dataset", "traces"}, {"region", "eu-edge"}},
     .secrets = {{"api_token", "xaat-1"}},
     .url = "https://eu-central-1.aws.edge.axiom.co/v1/traces",
     .headers = {{"authorization", "Bearer xaat-1"}, {"x-axiom-dataset", "traces"}},
     .compression = Compression::kZstd},
    {.type = "braintrust",
     .options = {{"project_id", "id-1"}},
     .secrets = kKey,
     .url = "https://api.braintrust.dev/otel/v1/traces",
     .headers = {{"authorization", "Bearer key-1"}, {"x-bt-parent", "project_id:id-1"}},
     .batch_bytes_max = 9 * kMb},
    {.type = "datadog-otlp",
     .options = {{"ml_app", "my-app"}, {"site", "us5.datadoghq.com"}},
     .secrets = kKey,
     .url = "https://otlp.us5.datadoghq.com/v1/traces",
     .headers = {{"dd-api-key", "key-1"}, {"dd-otlp-source", "llmobs"}},
     .resource = {{"service.name", "my-app"}},
     .batch_bytes_max = 3 * kMb},
    {.type = "dynatrace",
     .options = {{"endpoint", "https://abc123.live.dynatrace.com/api/v2/otlp"}},
     .secrets = {{"api_token", "dt0c01.x"}},
     .url = "https://abc123.live.dynatrace.com/api/v2/otlp/v1/traces",
     .headers = {{"authorization", "Api-Token dt0c01.x"}},
     .batch_bytes_max = 7'500'000},
    {.type = "elastic",
     .options = {{"endpoint", "https://motlp.example.cloud:443"}},
     .secrets = kKey,
     .url = "https://motlp.example.cloud:443/v1/traces",
     .headers = {{"authorization", "ApiKey key-1"}},
     .batch_bytes_max = 4 * kMb},
    {.type = "evidently",
     .options = {{"endpoint", "http://localhost:8000"}, {"project_id", "p"}, {"export_id", "e"}},
     .secrets = {{"secret", "s-1"}},
     .url = "http://localhost:8000/api/v1/traces",
     .headers = {{"evidently-secret", "s-1"}},
     .resource = {{"evidently.project_id", "p"}, {"evidently.export_id", "e"}}},
    {.type = "fiddler",
     .options = {{"endpoint", "https://acme.fiddler.ai"}, {"application_id", "uuid-1"}},
     .secrets = kKey,
     .url = "https://acme.fiddler.ai/v1/traces",
     .headers = {{"authorization", "Bearer key-1"}, {"fiddler-application-id", "uuid-1"}},
     .resource = {{"application.id", "uuid-1"}}},
    {.type = "galileo",
     .options = {{"project", "p"}, {"log_stream", "prod"}},
     .secrets = kKey,
     .url = "https://api.galileo.ai/otel/traces",
     .headers = {{"galileo-api-key", "key-1"}, {"project", "p"}, {"logstream", "prod"}}},
    {.type = "grafana",
     .options = {{"instance_id", "123456"}, {"zone", "prod-eu-west-2"}},
     .secrets = {{"token", "glc_abc"}},
     .url = "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp/v1/traces",
     .headers = {{"authorization", "Basic MTIzNDU2OmdsY19hYmM="}}},
    {.type = "grafana",  // as its console shows it
     .options = {{"instance_id", "123456"},
                 {"endpoint", "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp"}},
     .secrets = {{"token", "glc_abc"}},
     .url = "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp/v1/traces",
     .headers = {{"authorization", "Basic MTIzNDU2OmdsY19hYmM="}}},
    {.type = "helicone",
     .options = {{"region", "eu"}},
     .secrets = kKey,
     .url = "https://eu.api.helicone.ai/v1/trace/log",
     .headers = kBearerKey,
     .encoder = "otlp_json",
     .compression = Compression::kNone},
    {.type = "honeycomb",
     .secrets = kKey,
     .url = "https://api.honeycomb.io/v1/traces",
     .headers = {{"x-honeycomb-team", "key-1"}},
     .compression = Compression::kZstd,
     .batch_bytes_max = 15 * kMib},
    {.type = "honeycomb",
     .options = {{"region", "eu"}, {"dataset", "classic"}},
     .secrets = kKey,
     .url = "https://api.eu1.honeycomb.io/v1/traces",
     .headers = {{"x-honeycomb-team", "key-1"}, {"x-honeycomb-dataset", "classic"}},
     .compression = Compression::kZstd,
     .batch_bytes_max = 15 * kMib},
    {.type = "honeyhive",
     .options = {{"endpoint", "https://api.dp1.us.prod.honeyhive.ai"}},
     .secrets = kKey,
     .url = "https://api.dp1.us.prod.honeyhive.ai/opentelemetry/v1/traces",
     .headers = kBearerKey},
    {.type = "jaeger",
     .options = {{"endpoint", "http://localhost:4318"}},
     .url = "http://localhost:4318/v1/traces",
     .batch_bytes_max = 15 * kMib},
    {.type = "langfuse",
     .options = {{"public_key", "pk-lf-1"}},
     .secrets = {{"secret_key", "sk-lf-2"}},
     .url = "https://us.cloud.langfuse.com/api/public/otel/v1/traces",
     .headers = {{"authorization", "Basic cGstbGYtMTpzay1sZi0y"},
                 {"x-langfuse-ingestion-version", "4"}},
     .batch_bytes_max = 4'500'000},
    {.type = "langfuse",  // the OTLP endpoint as its documentation writes it
     .options = {{"public_key", "pk-lf-1"}, {"endpoint", "http://localhost:3000/api/public/otel"}},
     .secrets = {{"secret_key", "sk-lf-2"}},
     .url = "http://localhost:3000/api/public/otel/v1/traces",
     .headers = {{"authorization", "Basic cGstbGYtMTpzay1sZi0y"},
                 {"x-langfuse-ingestion-version", "4"}},
     .batch_bytes_max = 4'500'000},
    {.type = "langsmith",
     .options = {{"region", "apac"}, {"workspace_id", "w-1"}},
     .secrets = kKey,
     .url = "https://apac.api.smith.langchain.com/otel/v1/traces",
     .headers = {{"x-api-key", "key-1"}, {"langsmith-project", "main"}, {"x-tenant-id", "w-1"}}},
    {.type = "langsmith",  // self-hosted
     .options = {{"endpoint", "https://smith.example.com/api/v1"}},
     .secrets = kKey,
     .url = "https://smith.example.com/api/v1/otel/v1/traces",
     .headers = {{"x-api-key", "key-1"}, {"langsmith-project", "main"}}},
    {.type = "lightstep",
     .secrets = {{"access_token", "t-1"}},
     .url = "https://ingest.lightstep.com:443/v1/traces",
     .headers = {{"lightstep-access-token", "t-1"}}},
    {.type = "middleware",
     .options = {{"endpoint", "https://abcde.middleware.io:443"}},
     .secrets = kKey,
     .url = "https://abcde.middleware.io:443/v1/traces",
     .headers = {{"authorization", "key-1"}}},
    {.type = "mlflow",
     .options = {{"endpoint", "http://localhost:5000"}, {"experiment_id", "7"}},
     .secrets = {{"authorization", "Basic abc="}},
     .url = "http://localhost:5000/v1/traces",
     .headers = {{"x-mlflow-experiment-id", "7"}, {"authorization", "Basic abc="}}},
    {.type = "newrelic",
     .options = {{"region", "fedramp"}},
     .secrets = {{"license_key", "nr-1"}},
     .url = "https://gov-otlp.nr-data.net/v1/traces",
     .headers = {{"api-key", "nr-1"}},
     .compression = Compression::kZstd,
     .batch_bytes_max = 900'000},
    {.type = "opik",
     .options = {{"workspace", "acme"}, {"project", "p"}},
     .secrets = kKey,
     .url = "https://www.comet.com/opik/api/v1/private/otel/v1/traces",
     .headers = {{"authorization", "key-1"}, {"comet-workspace", "acme"}, {"projectname", "p"}}},
    {.type = "opik",  // open source: no key
     .options = {{"endpoint", "http://localhost:5173"}},
     .url = "http://localhost:5173/api/v1/private/otel/v1/traces",
     .headers = {{"comet-workspace", "default"}, {"projectname", "Default Project"}}},
    {.type = "otel-collector",
     .options = {{"endpoint", "http://collector:4318/v1/traces"}},
     .secrets = {{"authorization", "Bearer t"}},
     .url = "http://collector:4318/v1/traces",
     .headers = {{"authorization", "Bearer t"}},
     .batch_bytes_max = 15 * kMib},
    {.type = "otlp",
     .options = {{"endpoint", "http://localhost:4318"}},
     .url = "http://localhost:4318/v1/traces"},
    {.type = "phoenix",
     .options = {{"endpoint", "http://localhost:6006"}, {"project", "p"}},
     .secrets = kKey,
     .url = "http://localhost:6006/v1/traces",
     .headers = kBearerKey,
     .resource = {{"openinference.project.name", "p"}}},
    {.type = "portkey",
     .secrets = kKey,
     .url = "https://api.portkey.ai/v1/otel/v1/traces",
     .headers = {{"x-portkey-api-key", "key-1"}}},
    {.type = "ramp",
     .secrets = kKey,
     .url = "https://api.ramp.com/developer/v1/ai-usage/openrouter",
     .headers = kBearerKey,
     .encoder = "otlp_json",
     .compression = Compression::kNone},
    {.type = "respan",
     .secrets = kKey,
     .url = "https://api.respan.ai/api/v1/traces",
     .headers = kBearerKey},
    {.type = "sentry",
     .options = {{"endpoint", "https://o1.ingest.us.sentry.io/api/42/integration/otlp"}},
     .secrets = {{"dsn", "https://pub1:old@o1.ingest.us.sentry.io/42"}},
     .url = "https://o1.ingest.us.sentry.io/api/42/integration/otlp/v1/traces",
     .headers = {{"x-sentry-auth", "sentry sentry_key=pub1"}}},
    {.type = "sentry",
     .options = {{"endpoint", "https://o1.ingest.us.sentry.io/api/42"}},
     .secrets = {{"dsn", "pub1"}},
     .url = "https://o1.ingest.us.sentry.io/api/42/integration/otlp/v1/traces",
     .headers = {{"x-sentry-auth", "sentry sentry_key=pub1"}}},
    {.type = "signoz",
     .options = {{"region", "in"}},
     .secrets = {{"ingestion_key", "k"}},
     .url = "https://ingest.in.signoz.cloud/v1/traces",
     .headers = {{"signoz-ingestion-key", "k"}}},
    {.type = "tempo",
     .options = {{"endpoint", "http://localhost:4318"}, {"tenant", "acme"}},
     .url = "http://localhost:4318/v1/traces",
     .headers = {{"x-scope-orgid", "acme"}},
     .batch_bytes_max = 15 * kMib},
    {.type = "weave",
     .options = {{"entity", "team"}, {"project", "p"}},
     .secrets = kKey,
     .url = "https://trace.wandb.ai/otel/v1/traces",
     .headers = {{"wandb-api-key", "key-1"}},
     .resource = {{"wandb.entity", "team"}, {"wandb.project", "p"}}},
};

INSTANTIATE_TEST_SUITE_P(Rows, OtlpPreset, ::testing::ValuesIn(kRows), [](const auto& param) {
  std::string name = param.param.type + "_" + std::to_string(param.index);
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

TEST(OtlpPresets, EveryRowIsWrittenDownHere) {
  for (const Destination& type : destinations::otlp_presets()) {
    EXPECT_TRUE(std::any_of(kRows.begin(), kRows.end(), [&](const Row& row) {
      return row.type == type.name;
    })) << type.name;
  }
}

TEST(OtlpPresets, WhatABackendRefusesIsRefusedInTheConfig) {
  const Values phoenix = {{"endpoint", "http://h:6006"}, {"encoding", "otlp_json"}};
  const auto json = make("phoenix", phoenix);
  ASSERT_FALSE(json);
  EXPECT_EQ(json.error().message(), "encoding is 'otlp_json'; it must be one of otlp_protobuf");
  const auto zstd = make("langfuse", {{"public_key", "pk"}, {"compression", "zstd"}});
  ASSERT_FALSE(zstd);
  EXPECT_EQ(zstd.error().message(), "compression is 'zstd'; it must be one of none, gzip");
  EXPECT_FALSE(make("helicone", {{"encoding", "otlp_protobuf"}}));
}

TEST(OtlpPresets, HostileHostPartsAndRegionsAreRefusedByName) {
  for (const char* site : {"evil.com/", "evil.com#", "a@evil.com", "x:1", "", "{site}", "a b"}) {
    const auto made = make("datadog-otlp", {{"ml_app", "a"}, {"site", site}});
    ASSERT_FALSE(made) << site;
    EXPECT_NE(made.error().message().find("site"), std::string::npos) << made.error().message();
  }
  const auto region = make("langfuse", {{"public_key", "pk"}, {"region", "europe"}});
  ASSERT_FALSE(region);
  EXPECT_NE(region.error().message().find("us, eu, jp, hipaa"), std::string::npos)
      << region.error().message();
}

TEST(OtlpPresets, UsersHeaderWinsOverTheRowsOwn) {
  OptionValues options;
  for (const Option& option : find_destination_type("braintrust")->options) {
    if (!option.secret) options.values.emplace(option.name, option.fallback);
  }
  options.values.insert_or_assign("project_id", "id-1");
  options.headers.emplace("X-Bt-Parent", "experiment_id:e");
  const auto exporter = find_destination_type("braintrust")->make(options);
  ASSERT_TRUE(exporter) << exporter.error().message();
  const Request request = request_of(**exporter, kKey);
  int count = 0;
  for (const Header& header : request.headers) {
    if (header.name != "x-bt-parent") continue;
    ++count;
    EXPECT_EQ(header.value, "experiment_id:e");
  }
  EXPECT_EQ(count, 1);
}

TEST(OtlpPresets, StatusesThatMeanAWrongSettingKeepTheBatches) {
  const auto grafana = make("grafana", {{"instance_id", "1"}});
  Response response;
  response.status = 530;
  const Verdict verdict = (*grafana)->judge({}, response, kNow);
  EXPECT_EQ(verdict.kind, Verdict::Kind::kPause);
  EXPECT_EQ(verdict.explanation, "HTTP 530; check the zone");
  response.status = 501;
  EXPECT_EQ((*grafana)->judge({}, response, kNow).kind, Verdict::Kind::kRejected);
  const auto mlflow = make("mlflow", {{"endpoint", "http://h"}, {"experiment_id", "1"}});
  EXPECT_EQ((*mlflow)->judge({}, response, kNow).kind, Verdict::Kind::kPause);
}

TEST(OtlpPresets, MlflowsProbeIsOneResourceWithoutSpans) {
  const auto mlflow = make("mlflow", {{"endpoint", "http://h"}, {"experiment_id", "1"}});
  const Request probe = (*mlflow)->probe(kNow);
  std::string body;
  for (const Bytes piece : probe.body) body += piece;
  EXPECT_EQ(body, std::string("\x0a\x00", 2));  // resource_spans {}
}

}  // namespace
}  // namespace sidecast
