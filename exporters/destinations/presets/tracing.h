// Rows for backends that take any OpenTelemetry trace. Facts and how sure they are: reference
// "destinations-otlp"; what is not certain is said in the help.
#pragma once

#include "exporters/destinations/presets/row.h"

namespace sidecast::presets {

inline constexpr Option kAxiomOptions[] = {
    required_secret("api_token", "API token with ingest on the dataset, xaat-..."),
    required("dataset", "Events dataset, for traces alone: it has a limit of fields."),
    option("region", "us", "us, us-edge or eu-edge, where the dataset is."),
};
inline constexpr OtlpField kAxiomRegions[] = {
    {"us", "https://api.axiom.co"},
    {"us-edge", "https://us-east-1.aws.edge.axiom.co"},
    {"eu-edge", "https://eu-central-1.aws.edge.axiom.co"}};
inline constexpr OtlpField kAxiomHeaders[] = {{"authorization", "Bearer {api_token}"},
                                              {"x-axiom-dataset", "{dataset}"}};

inline constexpr Option kDynatraceOptions[] = {
    required_secret("api_token", "Access token with the scope openTelemetryTrace.ingest."),
};
inline constexpr OtlpField kDynatraceHeaders[] = {{"authorization", "Api-Token {api_token}"}};

inline constexpr OtlpField kElasticHeaders[] = {{"authorization", "ApiKey {api_key}"}};

inline constexpr Option kGrafanaOptions[] = {
    required("instance_id", "Number of the instance, from the OpenTelemetry tile of the stack."),
    required_secret("token", "Access policy token with traces:write, glc_..."),
    option("zone", "prod-us-west-0", "Zone of the stack, as in otlp-gateway-ZONE.grafana.net."),
};
inline constexpr OtlpField kGrafanaHeaders[] = {
    {"authorization", "Basic {basic:instance_id:token}"}};
inline constexpr int kGrafanaPauses[] = {530};

inline constexpr Option kHoneycombOptions[] = {
    required_secret("api_key", "Ingest key."),
    option("dataset", "", "For Classic keys only; others go by service_name."),
    option("region", "us", "us or eu."),
};
inline constexpr OtlpField kHoneycombRegions[] = {{"us", "https://api.honeycomb.io"},
                                                  {"eu", "https://api.eu1.honeycomb.io"}};
inline constexpr OtlpField kHoneycombHeaders[] = {{"x-honeycomb-team", "{api_key}"},
                                                  {"x-honeycomb-dataset", "{dataset}"}};

inline constexpr Option kLightstepOptions[] = {required_secret("access_token", "Access token.")};
inline constexpr OtlpField kLightstepHeaders[] = {{"lightstep-access-token", "{access_token}"}};

inline constexpr OtlpField kMiddlewareHeaders[] = {{"authorization", "{api_key}"}};

inline constexpr Option kNewrelicOptions[] = {
    required_secret("license_key", "Ingest license key, not a user key."),
    option("region", "us", "us, eu or fedramp."),
};
inline constexpr OtlpField kNewrelicRegions[] = {{"us", "https://otlp.nr-data.net"},
                                                 {"eu", "https://otlp.eu01.nr-data.net"},
                                                 {"fedramp", "https://gov-otlp.nr-data.net"}};
inline constexpr OtlpField kNewrelicHeaders[] = {{"api-key", "{license_key}"}};

inline constexpr Option kSentryOptions[] = {
    required_secret("dsn", "DSN of the project, or its public key alone."),
};
inline constexpr OtlpField kSentryHeaders[] = {
    {"x-sentry-auth", "sentry sentry_key={user_of:dsn}"}};

inline constexpr Option kSignozOptions[] = {
    secret("ingestion_key", "Ingestion key of the cloud; your own server needs none."),
    option("region", "us", "us, eu or in."),
};
inline constexpr OtlpField kSignozRegions[] = {{"us", "https://ingest.us.signoz.cloud"},
                                               {"eu", "https://ingest.eu.signoz.cloud"},
                                               {"in", "https://ingest.in.signoz.cloud"}};
inline constexpr OtlpField kSignozHeaders[] = {{"signoz-ingestion-key", "{ingestion_key}"}};

inline constexpr Option kTempoOptions[] = {
    option("tenant", "", "Tenant, where there are several (X-Scope-OrgID)."),
    kAuthorization,
};
inline constexpr OtlpField kTempoHeaders[] = {{"x-scope-orgid", "{tenant}"},
                                              {"authorization", "{authorization}"}};

inline constexpr OtlpPreset kTracing[] = {
    {.name = "axiom",
     .summary = "Axiom",
     .regions = kAxiomRegions,
     .options = kAxiomOptions,
     .headers = kAxiomHeaders,
     .compression = "zstd",
     .attribute_name_bytes_max = "200",
     .attribute_bytes_max = "1000000"},
    {.name = "dynatrace",
     .summary = "Dynatrace; it drops spans that end more than an hour ago",
     .endpoint_help =
         "https://ENVIRONMENT.live.dynatrace.com/api/v2/otlp, or that of an ActiveGate.",
     .options = kDynatraceOptions,
     .headers = kDynatraceHeaders,
     .batch_bytes_max = "7500KB",
     .attributes_max = "128",
     .takes_json = false,
     .takes_zstd = false,
     .probe = OtlpProbe::kEmpty},
    {.name = "elastic",
     .summary = "Elastic Managed OTLP",
     .endpoint_help = "Base URL of the managed OTLP endpoint, copied from the deployment.",
     .options = kApiKey,
     .headers = kElasticHeaders,
     .batch_bytes_max = "4MB",
     .takes_grpc = true,
     .probe = OtlpProbe::kEmpty},
    {.name = "grafana",
     .summary = "Grafana Cloud",
     .endpoint = "https://otlp-gateway-{zone}.grafana.net",
     .endpoint_help = "Base URL of the OTLP gateway, with or without /otlp.",
     .traces_path = "/otlp/v1/traces",
     .options = kGrafanaOptions,
     .headers = kGrafanaHeaders,
     .pause_statuses = kGrafanaPauses,
     .pause_advice = "check the zone",
     .probe = OtlpProbe::kEmpty},
    {.name = "honeycomb",
     .summary = "Honeycomb",
     .regions = kHoneycombRegions,
     .options = kHoneycombOptions,
     .headers = kHoneycombHeaders,
     .compression = "zstd",
     .batch_bytes_max = kCollectorBytesMax,
     .takes_grpc = true,
     .probe = OtlpProbe::kEmpty},
    {.name = "jaeger",
     .summary = "Jaeger 2",
     .endpoint_help = "Base URL, e.g. http://localhost:4318.",
     .options = kAuthorizationOnly,
     .headers = kAuthorizationHeader,
     .batch_bytes_max = kCollectorBytesMax,
     .takes_grpc = true,
     .probe = OtlpProbe::kEmpty},
    {.name = "lightstep",
     .summary = "Lightstep (ServiceNow Cloud Observability); known from others' guides only",
     .endpoint = "https://ingest.lightstep.com:443",
     .endpoint_help = "Base URL; some guides name the path /traces/otlp/v0.9.",
     .options = kLightstepOptions,
     .headers = kLightstepHeaders},
    {.name = "middleware",
     .summary = "Middleware",
     .endpoint_help = "Base URL of the account, https://UID.middleware.io:443.",
     .options = kApiKey,
     .headers = kMiddlewareHeaders,
     .dialect = "openinference"},
    {.name = "newrelic",
     .summary = "New Relic; it keeps 4,095 characters of an attribute",
     .regions = kNewrelicRegions,
     .options = kNewrelicOptions,
     .headers = kNewrelicHeaders,
     .compression = "zstd",
     .batch_bytes_max = "900KB",
     .attribute_name_bytes_max = "255",
     .attribute_bytes_max = "4095",
     .attribute_list_max = "64",
     .takes_grpc = true,
     .probe = OtlpProbe::kEmpty},
    {.name = "otel-collector",
     .summary = "OpenTelemetry Collector",
     .endpoint_help = "Base or full URL, e.g. http://localhost:4318.",
     .options = kAuthorizationOnly,
     .headers = kAuthorizationHeader,
     .batch_bytes_max = kCollectorBytesMax,
     .takes_grpc = true,
     .probe = OtlpProbe::kEmpty},
    {.name = "otlp",
     .summary = "Any backend that takes OTLP",
     .endpoint_help = "Base or full URL, e.g. http://localhost:4318.",
     .options = kAuthorizationOnly,
     .headers = kAuthorizationHeader,
     .takes_grpc = true,
     .probe = OtlpProbe::kEmpty},
    {.name = "sentry",
     .summary = "Sentry; its OTLP intake is in beta, by organisation",
     .endpoint_help = "OTLP endpoint from Client Keys > OpenTelemetry: "
                      "https://HOST/api/PROJECT/integration/otlp.",
     .traces_path = "/integration/otlp/v1/traces",
     .options = kSentryOptions,
     .headers = kSentryHeaders,
     .dialect = "sentry"},
    {.name = "signoz",
     .summary = "SigNoz, cloud or self-hosted",
     .regions = kSignozRegions,
     .options = kSignozOptions,
     .headers = kSignozHeaders,
     .takes_grpc = true,
     .probe = OtlpProbe::kEmpty},
    {.name = "tempo",
     .summary = "Grafana Tempo; it cuts attributes at 2,048 bytes unless told otherwise",
     .endpoint_help = "Base URL, e.g. http://localhost:4318.",
     .options = kTempoOptions,
     .headers = kTempoHeaders,
     .batch_bytes_max = kCollectorBytesMax,
     .takes_grpc = true,
     .probe = OtlpProbe::kEmpty},
};

}  // namespace sidecast::presets
