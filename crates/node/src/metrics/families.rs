//! The families that a node shows. Names, labels and words of `kong_` are Kong's, because dashboards and people know them.

use metrics::Family;

/// All of them.
pub const FAMILIES: &[&Family] = &[
    &NODE_INFO,
    &BUILD_INFO,
    &DATASTORE_REACHABLE,
    &CONNECTIONS,
    &REQUESTS,
    &TIMERS,
    &WORKER_MEMORY,
    &plugin_api::MEMORY_HELD,
    &plugin_api::MEMORY_LIMIT,
    &TARGET_HEALTH,
    &TARGET_TRIES,
    &TARGET_WAITING,
    &RESPONSES,
    &UPSTREAM_OPENED,
    &UPSTREAM_REUSED,
    &UPSTREAM_IDLE,
    &HELD_BODIES,
    &HELD_BODIES_REFUSED,
    &ROUTES,
    &UPSTREAMS,
    &RECORD_CACHE_ENTRIES,
    &RECORD_CACHE_HITS,
    &RECORD_CACHE_MISSES,
    &DATABASE_CONNECTIONS,
    &DATABASE_MOST_CONNECTIONS,
    &DATABASE_WAITING,
    &CPU_SECONDS,
    &RESIDENT_MEMORY,
    &OPEN_FILES,
    &MOST_FILES,
    &STARTED,
    &CONFIG_APPLIED,
    &CONFIG_NEWEST,
    &CONFIG_LAG,
    &CONFIG_BEHIND,
    &CONFIG_AGE,
    &DATABASE_OUTAGE,
    &CONFIG_HELD,
    &REPLICA_VERSION,
    &SYNC_COMPARISONS,
    &SYNC_DIVERGENCES,
    &SYNC_HEALED,
    &SYNC_RELOADS,
    &SYNC_DATABASE_FAILURES,
    &SYNC_PUBLISH_FAILURES,
    &SYNC_REPLICA_FAILURES,
];

pub static NODE_INFO: Family = Family::gauge(
    "kong_node_info",
    &["node_id", "version"],
    "Kong Node metadata information",
);

pub static BUILD_INFO: Family = Family::gauge(
    "silverback_build_info",
    &["version", "kong_version"],
    "The program, and the version of Kong that it stands for",
);

pub static DATASTORE_REACHABLE: Family = Family::gauge(
    "kong_datastore_reachable",
    &[],
    "Datastore reachable from Kong, 0 is unreachable",
);

pub static CONNECTIONS: Family = Family::gauge(
    "kong_nginx_connections_total",
    &["node_id", "subsystem", "state"],
    "Number of connections by subsystem",
);

pub static REQUESTS: Family = Family::gauge(
    "kong_nginx_requests_total",
    &["node_id", "subsystem"],
    "Number of requests total",
);

pub static TIMERS: Family = Family::gauge(
    "kong_nginx_timers",
    &["state"],
    "Number of tasks beside the requests: running ones, and pending ones that wait for a thread",
);

pub static WORKER_MEMORY: Family = Family::gauge(
    "kong_memory_workers_lua_vms_bytes",
    &["node_id", "pid", "kong_subsystem"],
    "Memory that the process holds, whose threads the workers are",
);

pub static TARGET_HEALTH: Family = Family::gauge(
    "kong_upstream_target_health",
    &["upstream", "target", "address", "state", "subsystem"],
    "Health status of targets of upstream. States = healthchecks_off|healthy|unhealthy|dns_error, value is 1 when state is populated.",
);

pub static TARGET_TRIES: Family = Family::counter(
    "silverback_upstream_target_tries_total",
    &["upstream", "target", "address", "outcome"],
    "Attempts to have an address of a target answer a request: answered, failed, timed_out or not_an_answer",
);

pub static TARGET_WAITING: Family = Family::gauge(
    "silverback_upstream_waiting_requests",
    &["upstream"],
    "Requests that wait for a place at a target, of upstreams whose tags limit the connections",
);

pub static RESPONSES: Family = Family::counter(
    "silverback_http_responses_total",
    &["code"],
    "Answers of the proxy by status, with or without the plugin prometheus",
);

pub static UPSTREAM_OPENED: Family = Family::counter(
    "silverback_upstream_connections_opened_total",
    &[],
    "Connections to upstreams that were opened",
);

pub static UPSTREAM_REUSED: Family = Family::counter(
    "silverback_upstream_connections_reused_total",
    &[],
    "Requests that found a kept connection to their upstream",
);

pub static UPSTREAM_IDLE: Family = Family::gauge(
    "silverback_upstream_connections_idle",
    &[],
    "Connections to upstreams that are kept for another request",
);

pub static HELD_BODIES: Family = Family::gauge(
    "silverback_held_bodies_bytes",
    &[],
    "Memory that bodies take which are held as a whole because a plugin looks at them",
);

pub static HELD_BODIES_REFUSED: Family = Family::counter(
    "silverback_held_bodies_refused_total",
    &[],
    "Bodies that were refused because silverback_held_bodies was used up",
);

pub static ROUTES: Family = Family::gauge(
    "silverback_config_routes",
    &[],
    "Routes of the configuration that the proxy serves",
);

pub static UPSTREAMS: Family = Family::gauge(
    "silverback_config_upstreams",
    &[],
    "Upstreams of the configuration that the proxy serves",
);

pub static RECORD_CACHE_ENTRIES: Family = Family::gauge(
    "silverback_record_cache_entries",
    &[],
    "Consumers, credentials and the like that are kept at hand for plugins",
);

pub static RECORD_CACHE_HITS: Family = Family::counter(
    "silverback_record_cache_hits_total",
    &[],
    "Lookups of plugins that found what was kept",
);

pub static RECORD_CACHE_MISSES: Family = Family::counter(
    "silverback_record_cache_misses_total",
    &[],
    "Lookups of plugins that had to ask the store",
);

pub static DATABASE_CONNECTIONS: Family = Family::gauge(
    "silverback_database_connections",
    &["state"],
    "Connections to the database: those that are used and those that are idle",
);

pub static DATABASE_MOST_CONNECTIONS: Family = Family::gauge(
    "silverback_database_connections_max",
    &[],
    "Connections to the database that there may be",
);

pub static DATABASE_WAITING: Family = Family::gauge(
    "silverback_database_waiting",
    &[],
    "Pieces of work that wait for a connection to the database",
);

pub static CPU_SECONDS: Family = Family::counter(
    "process_cpu_seconds_total",
    &[],
    "Time of processors that the process has used",
);

pub static RESIDENT_MEMORY: Family = Family::gauge(
    "process_resident_memory_bytes",
    &[],
    "Memory that the process holds",
);

pub static OPEN_FILES: Family = Family::gauge(
    "process_open_fds",
    &[],
    "Open file descriptors, sockets included",
);

pub static MOST_FILES: Family = Family::gauge(
    "process_max_fds",
    &[],
    "The most file descriptors that may be open",
);

pub static STARTED: Family = Family::gauge(
    "process_start_time_seconds",
    &[],
    "When the process started, in seconds since the Unix epoch",
);

pub static CONFIG_APPLIED: Family = Family::gauge(
    "silverback_config_version_applied",
    &[],
    "Version of the configuration that the proxy serves",
);

pub static CONFIG_NEWEST: Family = Family::gauge(
    "silverback_config_version_newest",
    &[],
    "Newest version of the configuration that the node knows of",
);

pub static CONFIG_LAG: Family = Family::gauge(
    "silverback_config_lag_versions",
    &[],
    "Versions that the proxy is behind the newest one",
);

pub static CONFIG_BEHIND: Family = Family::gauge(
    "silverback_config_behind_seconds",
    &[],
    "Seconds since the proxy is behind, 0 if it is not",
);

pub static CONFIG_AGE: Family = Family::gauge(
    "silverback_config_age_seconds",
    &[],
    "Seconds since what the proxy serves was known to be what the store has",
);

pub static DATABASE_OUTAGE: Family = Family::gauge(
    "silverback_database_outage_seconds",
    &[],
    "Seconds since the database answered last, 0 while it answers",
);

pub static CONFIG_HELD: Family = Family::gauge(
    "silverback_config_held",
    &[],
    "Whether the content of the database is not believed and the configuration before is served, 0 or 1",
);

pub static REPLICA_VERSION: Family = Family::gauge(
    "silverback_replica_version",
    &[],
    "Version of the configuration in the node's copy",
);

pub static SYNC_COMPARISONS: Family = Family::counter(
    "silverback_sync_comparisons_total",
    &[],
    "Comparisons of the node's copy with the database",
);

pub static SYNC_DIVERGENCES: Family = Family::counter(
    "silverback_sync_divergences_total",
    &[],
    "Collections of the node's copy that differed from the database's",
);

pub static SYNC_HEALED: Family = Family::counter(
    "silverback_sync_healed_records_total",
    &[],
    "Records that differed and were read again",
);

pub static SYNC_RELOADS: Family = Family::counter(
    "silverback_sync_reloads_total",
    &[],
    "Times that the whole configuration was read again",
);

pub static SYNC_DATABASE_FAILURES: Family = Family::counter(
    "silverback_sync_database_failures_total",
    &[],
    "Calls to the database that failed",
);

pub static SYNC_PUBLISH_FAILURES: Family = Family::counter(
    "silverback_sync_publish_failures_total",
    &[],
    "Configurations that the proxy did not take",
);

pub static SYNC_REPLICA_FAILURES: Family = Family::counter(
    "silverback_sync_replica_failures_total",
    &[],
    "Writes to the node's copy that failed",
);
