//! What the plugin shows. Names, labels, bounds and words are Kong's, because dashboards and people know them.

use plugin_api::Family;

/// Every family of the plugin.
pub const METRICS: &[&Family] = &[
    &REQUESTS,
    &BANDWIDTH,
    &GATEWAY_LATENCY,
    &UPSTREAM_LATENCY,
    &REQUEST_LATENCY,
    &LLM_REQUESTS,
    &LLM_COST,
    &LLM_TOKENS,
    &LLM_LATENCY,
    &ERRORS,
    &SERIES,
    &OVERFLOWS,
];

/// The bounds of [`GATEWAY_LATENCY`], in milliseconds.
pub const GATEWAY_BOUNDS: [u32; 17] = [
    1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000,
];

/// The bounds of [`UPSTREAM_LATENCY`] and [`REQUEST_LATENCY`], in milliseconds.
pub const UPSTREAM_BOUNDS: [u32; 13] = [
    25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10_000, 30_000, 60_000,
];

/// The bounds of [`LLM_LATENCY`], in milliseconds.
pub const LLM_BOUNDS: [u32; 14] = [
    250, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000, 10_000, 30_000, 60_000,
];

const OF_A_ROUTE: &[&str] = &["service", "route", "workspace"];

const OF_A_MODEL: &[&str] = &[
    "ai_provider",
    "ai_model",
    "cache_status",
    "vector_db",
    "embeddings_provider",
    "embeddings_model",
    "workspace",
];

pub static REQUESTS: Family = Family::counter(
    "kong_http_requests_total",
    &[
        "service",
        "route",
        "code",
        "source",
        "workspace",
        "consumer",
    ],
    "HTTP status codes per consumer/service/route in Kong",
);

pub static BANDWIDTH: Family = Family::counter(
    "kong_bandwidth_bytes",
    &["service", "route", "direction", "workspace", "consumer"],
    "Total bandwidth (ingress/egress) throughput in bytes",
);

pub static GATEWAY_LATENCY: Family = Family::histogram(
    "kong_kong_latency_ms",
    OF_A_ROUTE,
    "Latency added by Kong and enabled plugins for each service/route in Kong",
);

pub static UPSTREAM_LATENCY: Family = Family::histogram(
    "kong_upstream_latency_ms",
    OF_A_ROUTE,
    "Latency added by upstream response for each service/route in Kong",
);

pub static REQUEST_LATENCY: Family = Family::histogram(
    "kong_request_latency_ms",
    OF_A_ROUTE,
    "Total latency incurred during requests for each service/route in Kong",
);

pub static LLM_REQUESTS: Family = Family::counter(
    "kong_ai_llm_requests_total",
    OF_A_MODEL,
    "AI requests total per ai_provider in Kong",
);

pub static LLM_COST: Family = Family::counter(
    "kong_ai_llm_cost_total",
    OF_A_MODEL,
    "AI requests cost per ai_provider/cache in Kong",
);

pub static LLM_TOKENS: Family = Family::counter(
    "kong_ai_llm_tokens_total",
    &[
        "ai_provider",
        "ai_model",
        "cache_status",
        "vector_db",
        "embeddings_provider",
        "embeddings_model",
        "token_type",
        "workspace",
    ],
    "AI tokens total per ai_provider/cache in Kong",
);

pub static LLM_LATENCY: Family = Family::histogram(
    "kong_ai_llm_provider_latency_ms",
    OF_A_MODEL,
    "LLM response Latency for each AI plugins per ai_provider in Kong",
);

pub static ERRORS: Family = Family::counter(
    "kong_nginx_metric_errors_total",
    &[],
    "Number of observations that did not get the labels they should have",
);

pub static SERIES: Family = Family::gauge(
    "silverback_prometheus_series",
    &[],
    "Combinations of labels that requests are counted under by the plugin prometheus",
);

pub static OVERFLOWS: Family = Family::counter(
    "silverback_prometheus_overflows_total",
    &[],
    "Times that labels found no room, so that what they stand for is counted under (overflow)",
);
