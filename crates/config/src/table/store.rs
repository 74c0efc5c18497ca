//! Where the configuration is kept.

use crate::declaration::Declaration as D;
use crate::declaration::Group;
use crate::declaration::Kind::{Boolean, Choice, Integer, List, Number, Path, Size, Text};

const MAX: i64 = i64::MAX;

pub(super) const STORE: Group = Group {
    title: "Store",
    settings: &[
        D::new("database", Choice(&["sqlite", "postgres", "cassandra", "off"]), "", "The store: `sqlite`, the embedded one; `postgres`; `cassandra`; or `off` for a declarative file held in memory. PostgreSQL and Cassandra are refused by name: they are not built yet.")
            .unset_means("`sqlite`, or `postgres` if any `pg_` setting is set, as Kong would"),
        D::new("declarative_config", Path, "", "The declarative file that `database = off` starts with."),
        D::new("declarative_config_string", Text, "", "The same as text, for containers without files.").secret(),
        D::new("lmdb_environment_path", Text, "dbless.lmdb", "The folder of Kong's local database with `database = off`.")
            .nothing("the last good configuration is kept in `<prefix>/declarative.json`"),
        D::new("lmdb_map_size", Size, "2048m", "The largest size of that database.")
            .nothing("the last good configuration is kept in `<prefix>/declarative.json`"),
    ],
};

const NOT_BUILT: &str = "PostgreSQL is not built yet";
const READ_ONLY: &str = "The same for read-only connections: ";

pub(super) const POSTGRES: Group = Group {
    title: "PostgreSQL",
    settings: &[
        D::new("pg_host", Text, "127.0.0.1", "The server.").nothing(NOT_BUILT),
        D::new("pg_port", Integer(1, 65535), "5432", "Its port.").nothing(NOT_BUILT),
        D::new(
            "pg_timeout",
            Integer(0, MAX),
            "5000",
            "Milliseconds for connecting and for a query.",
        )
        .nothing(NOT_BUILT),
        D::new("pg_user", Text, "kong", "The user.").nothing(NOT_BUILT),
        D::new("pg_password", Text, "", "The user's password.")
            .secret()
            .nothing(NOT_BUILT),
        D::new("pg_database", Text, "kong", "The database.").nothing(NOT_BUILT),
        D::new("pg_schema", Text, "", "The schema.")
            .unset_means("the user's own")
            .nothing(NOT_BUILT),
        D::new("pg_ssl", Boolean, "off", "Whether connections use TLS.").nothing(NOT_BUILT),
        D::new(
            "pg_ssl_verify",
            Boolean,
            "off",
            "Whether the server's certificate is checked.",
        )
        .nothing(NOT_BUILT),
        D::new(
            "pg_max_concurrent_queries",
            Integer(0, MAX),
            "0",
            "Queries at a time; 0 for no limit.",
        )
        .nothing(NOT_BUILT),
        D::new(
            "pg_semaphore_timeout",
            Integer(0, MAX),
            "60000",
            "Milliseconds that a query waits for its turn.",
        )
        .nothing(NOT_BUILT),
        D::new(
            "pg_keepalive_timeout",
            Integer(0, MAX),
            "",
            "Milliseconds after which an idle connection is closed.",
        )
        .nothing(NOT_BUILT),
        D::new(
            "pg_pool_size",
            Integer(0, MAX),
            "",
            "Connections that are kept.",
        )
        .nothing(NOT_BUILT),
        D::new(
            "pg_backlog",
            Integer(0, MAX),
            "",
            "Queries that may wait for a connection.",
        )
        .nothing(NOT_BUILT),
        D::new(
            "_debug_pg_ttl_cleanup_interval",
            Integer(1, MAX),
            "300",
            "Seconds between removals of expired rows.",
        )
        .nothing(NOT_BUILT),
        D::new("pg_ro_host", Text, "", "A server that only answers reads.").nothing(NOT_BUILT),
        D::new("pg_ro_port", Integer(1, 65535), "", READ_ONLY)
            .unset_means("`pg_port`")
            .nothing(NOT_BUILT),
        D::new("pg_ro_timeout", Integer(0, MAX), "", READ_ONLY)
            .unset_means("`pg_timeout`")
            .nothing(NOT_BUILT),
        D::new("pg_ro_user", Text, "", READ_ONLY)
            .unset_means("`pg_user`")
            .nothing(NOT_BUILT),
        D::new("pg_ro_password", Text, "", READ_ONLY)
            .secret()
            .unset_means("`pg_password`")
            .nothing(NOT_BUILT),
        D::new("pg_ro_database", Text, "", READ_ONLY)
            .unset_means("`pg_database`")
            .nothing(NOT_BUILT),
        D::new("pg_ro_schema", Text, "", READ_ONLY)
            .unset_means("`pg_schema`")
            .nothing(NOT_BUILT),
        D::new("pg_ro_ssl", Boolean, "", READ_ONLY)
            .unset_means("`pg_ssl`")
            .nothing(NOT_BUILT),
        D::new("pg_ro_ssl_verify", Boolean, "", READ_ONLY)
            .unset_means("`pg_ssl_verify`")
            .nothing(NOT_BUILT),
        D::new(
            "pg_ro_max_concurrent_queries",
            Integer(0, MAX),
            "",
            READ_ONLY,
        )
        .unset_means("`pg_max_concurrent_queries`")
        .nothing(NOT_BUILT),
        D::new("pg_ro_semaphore_timeout", Integer(0, MAX), "", READ_ONLY)
            .unset_means("`pg_semaphore_timeout`")
            .nothing(NOT_BUILT),
        D::new("pg_ro_keepalive_timeout", Integer(0, MAX), "", READ_ONLY)
            .unset_means("`pg_keepalive_timeout`")
            .nothing(NOT_BUILT),
        D::new("pg_ro_pool_size", Integer(0, MAX), "", READ_ONLY)
            .unset_means("`pg_pool_size`")
            .nothing(NOT_BUILT),
        D::new("pg_ro_backlog", Integer(0, MAX), "", READ_ONLY)
            .unset_means("`pg_backlog`")
            .nothing(NOT_BUILT),
    ],
};

const IN_MEMORY: &str = "the whole configuration is held in memory and changes are announced";

pub(super) const CACHING: Group = Group {
    title: "Caching",
    settings: &[
        D::new(
            "db_update_frequency",
            Number(0.0, f64::INFINITY),
            "5",
            "Seconds between looks for other nodes' changes.",
        )
        .nothing(IN_MEMORY),
        D::new(
            "db_update_propagation",
            Number(0.0, f64::INFINITY),
            "0",
            "Seconds that a store needs to reach its replicas.",
        )
        .nothing(IN_MEMORY),
        D::new(
            "db_cache_ttl",
            Number(0.0, f64::INFINITY),
            "0",
            "Seconds that a record is cached; 0 for ever.",
        )
        .nothing(IN_MEMORY),
        D::new(
            "db_cache_neg_ttl",
            Number(0.0, f64::INFINITY),
            "",
            "Seconds that the absence of a record is cached.",
        )
        .nothing(IN_MEMORY),
        D::new(
            "db_resurrect_ttl",
            Number(0.0, f64::INFINITY),
            "30",
            "Seconds that an expired record serves while the store cannot be reached.",
        )
        .nothing(IN_MEMORY),
        D::new(
            "db_cache_warmup_entities",
            List,
            "services",
            "What is cached at the start.",
        )
        .nothing(IN_MEMORY),
    ],
};
