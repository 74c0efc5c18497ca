//! Where the configuration is kept.

use crate::declaration::Declaration as D;
use crate::declaration::Group;
use crate::declaration::Kind::{Boolean, Choice, Integer, List, Number, Path, Size, Text};

const MAX: i64 = i64::MAX;

pub(super) const STORE: Group = Group {
    title: "Store",
    settings: &[
        D::new("database", Choice(&["sqlite", "postgres", "cassandra", "off"]), "", "The store: `sqlite`, the embedded one; `postgres`; `cassandra`; or `off` for a declarative file held in memory. Cassandra is refused by name: it is not built yet.")
            .unset_means("`sqlite`, or `postgres` if any `pg_` setting is set, as Kong would"),
        D::new("declarative_config", Path, "", "The declarative file that `database = off` starts with."),
        D::new("declarative_config_string", Text, "", "The same as text, for containers without files.").secret(),
        D::new("lmdb_environment_path", Text, "dbless.lmdb", "The folder of Kong's local database with `database = off`.")
            .nothing("the last good configuration is kept in `<prefix>/declarative.json`"),
        D::new("lmdb_map_size", Size, "2048m", "The largest size of that database.")
            .nothing("the last good configuration is kept in `<prefix>/declarative.json`"),
    ],
};

const NO_BACKLOG: &str =
    "their number has no limit, `pg_semaphore_timeout` limits how long they wait";
const READ_ONLY: &str = "The same for read-only connections: ";

pub(super) const POSTGRES: Group = Group {
    title: "PostgreSQL",
    settings: &[
        D::new(
            "pg_host",
            Text,
            "127.0.0.1",
            "The server: a host, `host:port`, or the folder of a Unix socket; several are separated by commas, and the first that takes writes is used.",
        ),
        D::new(
            "pg_port",
            Integer(1, 65535),
            "5432",
            "The port of hosts that name none.",
        ),
        D::new(
            "pg_timeout",
            Integer(0, MAX),
            "5000",
            "Milliseconds for connecting and for a query; 0 for a minute.",
        ),
        D::new("pg_user", Text, "kong", "The user."),
        D::new("pg_password", Text, "", "The user's password.").secret(),
        D::new("pg_database", Text, "kong", "The database."),
        D::new("pg_schema", Text, "", "The schema.").unset_means("the user's own"),
        D::new(
            "pg_ssl",
            Boolean,
            "off",
            "Whether connections use TLS where the server offers it.",
        ),
        D::new(
            "pg_ssl_verify",
            Boolean,
            "off",
            "With `pg_ssl`: whether connections must use TLS and the server's certificate is checked, by `lua_ssl_trusted_certificate`.",
        ),
        D::new(
            "pg_max_concurrent_queries",
            Integer(0, MAX),
            "0",
            "Queries of the node at a time; 0 for as many as there are connections.",
        ),
        D::new(
            "pg_semaphore_timeout",
            Integer(0, MAX),
            "60000",
            "Milliseconds that a query waits for its turn.",
        ),
        D::new(
            "pg_keepalive_timeout",
            Integer(0, MAX),
            "",
            "Milliseconds after which an idle connection is closed; 0 for never.",
        )
        .unset_means("a minute"),
        D::new(
            "pg_pool_size",
            Integer(0, MAX),
            "",
            "Connections of the node at most; the one that listens for changes comes on top.",
        )
        .unset_means("10"),
        D::new(
            "pg_backlog",
            Integer(0, MAX),
            "",
            "Queries that may wait for a connection.",
        )
        .nothing(NO_BACKLOG),
        D::new(
            "_debug_pg_ttl_cleanup_interval",
            Integer(1, MAX),
            "300",
            "Seconds between removals of expired rows.",
        )
        .nothing("expired rows are removed every minute"),
        D::new(
            "pg_ro_host",
            Text,
            "",
            "A server that follows `pg_host`, to read from; writes, and reads that it is not up to date for, go to `pg_host`.",
        ),
        D::new("pg_ro_port", Integer(1, 65535), "", READ_ONLY).unset_means("`pg_port`"),
        D::new("pg_ro_timeout", Integer(0, MAX), "", READ_ONLY).unset_means("`pg_timeout`"),
        D::new("pg_ro_user", Text, "", READ_ONLY).unset_means("`pg_user`"),
        D::new("pg_ro_password", Text, "", READ_ONLY)
            .secret()
            .unset_means("`pg_password`"),
        D::new("pg_ro_database", Text, "", READ_ONLY).unset_means("`pg_database`"),
        D::new("pg_ro_schema", Text, "", READ_ONLY).unset_means("`pg_schema`"),
        D::new("pg_ro_ssl", Boolean, "", READ_ONLY).unset_means("`pg_ssl`"),
        D::new("pg_ro_ssl_verify", Boolean, "", READ_ONLY).unset_means("`pg_ssl_verify`"),
        D::new(
            "pg_ro_max_concurrent_queries",
            Integer(0, MAX),
            "",
            READ_ONLY,
        )
        .unset_means("`pg_max_concurrent_queries`"),
        D::new("pg_ro_semaphore_timeout", Integer(0, MAX), "", READ_ONLY)
            .unset_means("`pg_semaphore_timeout`"),
        D::new("pg_ro_keepalive_timeout", Integer(0, MAX), "", READ_ONLY)
            .unset_means("`pg_keepalive_timeout`"),
        D::new("pg_ro_pool_size", Integer(0, MAX), "", READ_ONLY).unset_means("`pg_pool_size`"),
        D::new("pg_ro_backlog", Integer(0, MAX), "", READ_ONLY)
            .unset_means("`pg_backlog`")
            .nothing(NO_BACKLOG),
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
            "The entities whose records plugins have at hand from the start, as far as half of `mem_cache_size` goes, such as `consumers, keyauth_credentials`. Services, routes and plugins always are.",
        ),
    ],
};
