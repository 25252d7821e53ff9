// Rows for backends made for traces of language models. Facts and how sure they are: reference
// "destinations-otlp"; what is not certain is said in the help.
#pragma once

#include "exporters/destinations/presets/row.h"

namespace sidecast::presets {

// ---- Arize AX -----------------------------------------------------------------------------------

inline constexpr Option kArizeOptions[] = {
    required_secret("api_key", "API key of the space."),
    required_secret("space_key", "Space ID (older consoles: Space Key)."),
    required("project", "Project name; made on first use."),
    option("region", "us", "us or eu."),
};
inline constexpr OtlpField kArizeRegions[] = {{"us", "https://otlp.arize.com"},
                                              {"eu", "https://otlp.eu-west-1a.arize.com"}};
// Arize's SDKs changed names; receivers know both, and each space's age decides which it needs.
inline constexpr OtlpField kArizeHeaders[] = {
    {"authorization", "{api_key}"},
    {"arize-space-id", "{space_key}"},
    {"api_key", "{api_key}"},
    {"space_id", "{space_key}"},
};
inline constexpr OtlpField kArizeResource[] = {
    {"openinference.project.name", "{project}"},
    {"model_id", "{project}"},
};

// ---- Braintrust ---------------------------------------------------------------------------------

inline constexpr Option kBraintrustOptions[] = {
    required_secret("api_key", "API key."),
    required("project_id",
             "Id of the project; to write to an experiment, set the header x-bt-parent."),
    option("region", "us", "us or eu."),
};
inline constexpr OtlpField kBraintrustRegions[] = {{"us", "https://api.braintrust.dev"},
                                                   {"eu", "https://api-eu.braintrust.dev"}};
inline constexpr OtlpField kBraintrustHeaders[] = {
    {"authorization", "Bearer {api_key}"},
    {"x-bt-parent", "project_id:{project_id}"},
};

// ---- Comet Opik ---------------------------------------------------------------------------------

inline constexpr Option kOpikOptions[] = {
    secret("api_key", "API key; the open-source server needs none."),
    option("workspace", "default", "Workspace; `default` on the open-source server."),
    option("project", "Default Project", "Project name; made on first use."),
};
inline constexpr OtlpField kOpikHeaders[] = {
    {"authorization", "{api_key}"},  // without a scheme
    {"comet-workspace", "{workspace}"},
    {"projectname", "{project}"},
};

// ---- Datadog, LLM Observability by OTLP ---------------------------------------------------------

inline constexpr Option kDatadogOptions[] = {
    required_secret("api_key", "API key, with permission for LLM Observability."),
    required("ml_app", "Name of the application; becomes service.name."),
    option("site", "datadoghq.com",
           "us3.datadoghq.com, us5.datadoghq.com, datadoghq.eu, ap1.datadoghq.com, ...; the host "
           "made of it is not documented for every site."),
    option("otlp_source", "llmobs", "Product that takes the spans; empty = plain APM."),
};
inline constexpr OtlpField kDatadogHeaders[] = {
    {"dd-api-key", "{api_key}"},
    {"dd-otlp-source", "{otlp_source}"},
};
inline constexpr OtlpField kDatadogResource[] = {{"service.name", "{ml_app}"}};

// ---- Langfuse -----------------------------------------------------------------------------------

inline constexpr Option kLangfuseOptions[] = {
    required("public_key", "Public key of the project, pk-lf-..."),
    required_secret("secret_key", "Secret key of the project, sk-lf-..."),
    option("region", "us", "us, eu, jp or hipaa."),
};
inline constexpr OtlpField kLangfuseRegions[] = {{"us", "https://us.cloud.langfuse.com"},
                                                 {"eu", "https://cloud.langfuse.com"},
                                                 {"jp", "https://jp.cloud.langfuse.com"},
                                                 {"hipaa", "https://hipaa.cloud.langfuse.com"}};
inline constexpr OtlpField kLangfuseHeaders[] = {
    {"authorization", "Basic {basic:public_key:secret_key}"},
    {"x-langfuse-ingestion-version", "4"},  // written directly: visible in seconds
};

// ---- LangSmith ----------------------------------------------------------------------------------

inline constexpr Option kLangsmithOptions[] = {
    required_secret("api_key", "API key."),
    option("project", "main", "Project name; made on first use."),
    option("workspace_id", "", "For keys of an organisation; not certain to count for OTLP."),
    option("region", "us", "us, eu, apac or aws-us."),
};
inline constexpr OtlpField kLangsmithRegions[] = {
    {"us", "https://api.smith.langchain.com"},
    {"eu", "https://eu.api.smith.langchain.com"},
    {"apac", "https://apac.api.smith.langchain.com"},
    {"aws-us", "https://aws.api.smith.langchain.com"}};
inline constexpr OtlpField kLangsmithHeaders[] = {
    {"x-api-key", "{api_key}"},
    {"langsmith-project", "{project}"},
    {"x-tenant-id", "{workspace_id}"},
};

// ---- W&B Weave ----------------------------------------------------------------------------------

inline constexpr Option kWeaveOptions[] = {
    required_secret("api_key", "API key."),
    required("entity", "Team or user; spans without it are dropped."),
    required("project", "Project name."),
};
inline constexpr OtlpField kWeaveHeaders[] = {{"wandb-api-key", "{api_key}"}};
inline constexpr OtlpField kWeaveResource[] = {{"wandb.entity", "{entity}"},
                                               {"wandb.project", "{project}"}};

// ---- Phoenix, MLflow ----------------------------------------------------------------------------

inline constexpr Option kPhoenixOptions[] = {
    secret("api_key", "API key, where authentication is on."),
    option("project", "default", "Project name; made on first use."),
};
inline constexpr OtlpField kPhoenixHeaders[] = {{"authorization", "Bearer {api_key}"}};
inline constexpr OtlpField kPhoenixResource[] = {{"openinference.project.name", "{project}"}};

inline constexpr Option kMlflowOptions[] = {
    required("experiment_id", "Id of the experiment, which must exist; 0 is the default one."),
    kAuthorization,
};
inline constexpr OtlpField kMlflowHeaders[] = {
    {"x-mlflow-experiment-id", "{experiment_id}"},
    {"authorization", "{authorization}"},
};
inline constexpr int kMlflowPauses[] = {501};

// ---- Galileo, HoneyHive, Fiddler ----------------------------------------------------------------

inline constexpr Option kGalileoOptions[] = {
    required_secret("api_key", "API key."),
    required("project", "Project name."),
    option("log_stream", "default", "Log stream of the project."),
};
inline constexpr OtlpField kGalileoHeaders[] = {
    {"galileo-api-key", "{api_key}"},
    {"project", "{project}"},
    {"logstream", "{log_stream}"},
};

inline constexpr Option kHoneyhiveOptions[] = {
    required_secret("api_key", "Ingestion key; it selects the project."),
};

inline constexpr Option kFiddlerOptions[] = {
    required_secret("api_key", "API key."),
    required("application_id", "UUID of the application."),
};
inline constexpr OtlpField kFiddlerHeaders[] = {
    {"authorization", "Bearer {api_key}"},
    {"fiddler-application-id", "{application_id}"},
};
inline constexpr OtlpField kFiddlerResource[] = {{"application.id", "{application_id}"}};

// ---- Evidently, Respan, Helicone, Portkey, Ramp -------------------------------------------------

inline constexpr Option kEvidentlyOptions[] = {
    secret("secret", "Secret of an open-source server."),
    secret("token",
           "Token of Evidently Cloud's login, which ends after a while: it is not renewed."),
    required("project_id", "UUID of the project."),
    required("export_id", "UUID of the tracing dataset, which must exist."),
};
inline constexpr OtlpField kEvidentlyHeaders[] = {
    {"evidently-secret", "{secret}"},
    {"authorization", "Bearer {token}"},
};
inline constexpr OtlpField kEvidentlyResource[] = {
    {"evidently.project_id", "{project_id}"},
    {"evidently.export_id", "{export_id}"},
};

inline constexpr OtlpField kHeliconeRegions[] = {{"us", "https://api.helicone.ai"},
                                                 {"eu", "https://eu.api.helicone.ai"}};
inline constexpr Option kHeliconeOptions[] = {
    required_secret("api_key", "API key."),
    option("region", "us", "us or eu."),
};

inline constexpr OtlpField kPortkeyHeaders[] = {{"x-portkey-api-key", "{api_key}"}};

inline constexpr OtlpPreset kLlm[] = {
    {.name = "arize",
     .summary = "Arize AX",
     .regions = kArizeRegions,
     .options = kArizeOptions,
     .headers = kArizeHeaders,
     .resource = kArizeResource,
     .dialect = "openinference",
     .flat_metadata = "true",  // it filters on metadata.<key>
     .takes_grpc = true},
    {.name = "braintrust",
     .summary = "Braintrust",
     .regions = kBraintrustRegions,
     .traces_path = "/otel/v1/traces",
     .options = kBraintrustOptions,
     .headers = kBraintrustHeaders,
     .dialect = "braintrust",
     .batch_bytes_max = "9MB",
     .retry_statuses = "500"},  // for passing trouble
    {.name = "datadog-otlp",
     .summary = "Datadog LLM Observability, by OTLP",
     .endpoint = "https://otlp.{site}",
     .endpoint_help = "Base URL of the site.",
     .options = kDatadogOptions,
     .headers = kDatadogHeaders,
     .resource = kDatadogResource,
     .dialect = "datadog",
     .batch_bytes_max = "3MB"},
    {.name = "evidently",
     .summary = "Evidently, open source; its cloud with a token that you renew",
     .endpoint = "https://app.evidently.cloud",
     .endpoint_help = "Base URL of the server.",
     .traces_path = "/api/v1/traces",
     .options = kEvidentlyOptions,
     .headers = kEvidentlyHeaders,
     .resource = kEvidentlyResource},
    {.name = "fiddler",
     .summary = "Fiddler; it shows gen_ai.* as plain attributes",
     .endpoint_help = "Base URL of the instance, https://INSTANCE.fiddler.ai.",
     .options = kFiddlerOptions,
     .headers = kFiddlerHeaders,
     .resource = kFiddlerResource},
    {.name = "galileo",
     .summary = "Galileo",
     .endpoint = "https://api.galileo.ai",
     .endpoint_help = "Base URL; your own cluster: https://api.CLUSTER.",
     .traces_path = "/otel/traces",
     .options = kGalileoOptions,
     .headers = kGalileoHeaders,
     .dialect = "openinference"},
    {.name = "helicone",
     .summary = "Helicone, by OTLP in JSON",
     .regions = kHeliconeRegions,
     .traces_path = "/v1/trace/log",
     .options = kHeliconeOptions,
     .headers = kBearer,
     .encoding = "otlp_json",
     .compression = "none",  // whether it takes any is not known
     .retry_statuses = "500",
     .takes_protobuf = false},
    {.name = "honeyhive",
     .summary = "HoneyHive",
     .endpoint_help = "Base URL of the data plane, e.g. https://api.dp1.us.prod.honeyhive.ai.",
     .traces_path = "/opentelemetry/v1/traces",
     .options = kHoneyhiveOptions,
     .headers = kBearer,
     .dialect = "openinference"},
    {.name = "langfuse",
     .summary = "Langfuse, cloud or self-hosted (3.22 or later)",
     .regions = kLangfuseRegions,
     .traces_path = "/api/public/otel/v1/traces",
     .options = kLangfuseOptions,
     .headers = kLangfuseHeaders,
     .dialect = "langfuse",
     .batch_bytes_max = "4500KB",
     .takes_zstd = false,
     .probe = OtlpProbe::kEmpty},
    {.name = "langsmith",
     .summary = "LangSmith",
     .regions = kLangsmithRegions,
     .traces_path = "/otel/v1/traces",
     .options = kLangsmithOptions,
     .headers = kLangsmithHeaders,
     .dialect = "langsmith"},
    {.name = "mlflow",
     .summary = "MLflow (3.6 or later, with an SQL store)",
     .endpoint_help = "Base URL of the server, e.g. http://localhost:5000.",
     .options = kMlflowOptions,
     .headers = kMlflowHeaders,
     .dialect = "mlflow",
     .pause_statuses = kMlflowPauses,
     .pause_advice = "the server needs an SQL store to keep traces",
     .takes_json = false,
     .takes_zstd = false,
     .probe = OtlpProbe::kBareResource},
    {.name = "opik",
     .summary = "Comet Opik, cloud or self-hosted",
     .endpoint = "https://www.comet.com/opik",
     .endpoint_help = "Base URL; the open-source server: http://localhost:5173.",
     .traces_path = "/api/v1/private/otel/v1/traces",
     .options = kOpikOptions,
     .headers = kOpikHeaders,
     .dialect = "opik",
     .probe = OtlpProbe::kEmpty},
    {.name = "phoenix",
     .summary = "Arize Phoenix",
     .endpoint_help = "Base URL of the server, e.g. http://localhost:6006.",
     .options = kPhoenixOptions,
     .headers = kPhoenixHeaders,
     .resource = kPhoenixResource,
     .dialect = "openinference",
     .takes_json = false,
     .takes_zstd = false,
     .takes_grpc = true,
     .probe = OtlpProbe::kEmpty},
    {.name = "portkey",
     .summary = "Portkey, by OTLP",
     .endpoint = "https://api.portkey.ai/v1/otel",
     .endpoint_help = "Base URL.",
     .options = kApiKey,
     .headers = kPortkeyHeaders},
    // Suffix, scheme and encoding are inferred, not documented.
    {.name = "ramp",
     .summary = "Ramp AI usage; how it wants its requests is not documented in full",
     .endpoint = "https://api.ramp.com/developer/v1/ai-usage/openrouter",
     .endpoint_help = "Whole URL.",
     .traces_path = "/",
     .options = kApiKey,
     .headers = kBearer,
     .encoding = "otlp_json",
     .compression = "none"},
    {.name = "respan",
     .summary = "Respan, formerly Keywords AI",
     .endpoint = "https://api.respan.ai/api",
     .endpoint_help = "Base URL; for JSON set traces_path to /v2/traces.",
     .options = kApiKey,
     .headers = kBearer},
    {.name = "weave",
     .summary = "W&B Weave",
     .endpoint = "https://trace.wandb.ai",
     .endpoint_help = "Base URL; a dedicated cloud: https://NAME.wandb.io/traces.",
     .traces_path = "/otel/v1/traces",
     .options = kWeaveOptions,
     .headers = kWeaveHeaders,
     .resource = kWeaveResource,
     .dialect = "weave",
     .takes_json = false,
     .takes_zstd = false},
};

}  // namespace sidecast::presets
