//! acme: Gets certificates from Let's Encrypt and other ACME authorities.

mod storage;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Record, Subschema};
use serde_json::Value;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "acme",
    description: "Gets certificates from Let's Encrypt and other ACME authorities.",
    version: BUNDLED_VERSION,
    priority: 1705,
    phases: Phases::of(&[Phase::Certificate, Phase::Access]),
    schema,
    without_database: Some(schema_without_database),
    entities: &[storage::schema],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::declared(&DECLARATION);

fn schema() -> Subschema {
    schema_with(check_any_storage)
}

fn schema_without_database() -> Subschema {
    schema_with(check_storage_without_database)
}

fn schema_with(check_storage: fn(&Record, i64) -> Result<(), String>) -> Subschema {
    Subschema::new("acme")
        .field_as("consumer", fields::no_consumer())
        .field_as("service", fields::no_service())
        .field_as("route", fields::no_route())
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
        .check(
            Check::conditional(
                "config.api_uri",
                Field::condition().one_of(&[
                    "https://acme-v02.api.letsencrypt.org",
                    "https://acme-staging-v02.api.letsencrypt.org",
                ]),
                "config.tos_accepted",
                Field::condition().eq(true),
            )
            .error(
                "terms of service must be accepted, see \
                 https://letsencrypt.org/repository/",
            ),
        )
        .check(Check::conditional(
            "config.storage",
            Field::condition().eq("redis"),
            "config.storage_config.redis.host",
            Field::condition().required(),
        ))
        .check(Check::conditional(
            "config.storage",
            Field::condition().eq("redis"),
            "config.storage_config.redis.port",
            Field::condition().required(),
        ))
        .check(Check::custom(&["config.storage"], check_storage))
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "account_email",
                Field::string("The address of the account at the certificate authority.")
                    .required()
                    .encrypted()
                    .referenceable()
                    .matches("%w*%p*@+%w*%.?%w*"),
            ),
            (
                "account_key",
                Field::record(
                    "The key of the account, taken from a key of the gateway.",
                    vec![
                        ("key_id", Field::string("The `kid` of the key.").required()),
                        (
                            "key_set",
                            Field::string("The name of the key set that holds it."),
                        ),
                    ],
                )
                .optional(),
            ),
            (
                "api_uri",
                fields::url("The directory URL of the certificate authority.")
                    .default("https://acme-v02.api.letsencrypt.org/directory"),
            ),
            (
                "tos_accepted",
                Field::boolean("Whether the terms of service of the authority are accepted.")
                    .default(false),
            ),
            (
                "eab_kid",
                Field::string("The key id of an external account binding.")
                    .encrypted()
                    .referenceable(),
            ),
            (
                "eab_hmac_key",
                Field::string("The HMAC key of an external account binding, in base64url.")
                    .encrypted()
                    .referenceable(),
            ),
            (
                "cert_type",
                Field::string("The type of the certificates' keys.")
                    .one_of(&["rsa", "ecc"])
                    .default("rsa"),
            ),
            (
                "rsa_key_size",
                Field::number("The bits of RSA keys.")
                    .one_of(&[2048, 3072, 4096])
                    .default(4096),
            ),
            (
                "renew_threshold_days",
                Field::number("How many days before its end a certificate is renewed.").default(14),
            ),
            (
                "domains",
                fields::hosts(
                    "The host names for which certificates are made; the leftmost \
                     label may be a wildcard.",
                ),
            ),
            (
                "allow_any_domain",
                Field::boolean(
                    "Whether certificates are made for any host name that clients \
                     ask for.",
                )
                .default(false),
            ),
            (
                "fail_backoff_minutes",
                Field::number(
                    "How many minutes to wait after a failure before a name is \
                     tried again.",
                )
                .default(5),
            ),
            (
                "storage",
                Field::string("Where keys, challenges and certificates are kept.")
                    .one_of(&["kong", "shm", "redis", "consul", "vault"])
                    .default("shm"),
            ),
            ("storage_config", storages()),
            (
                "preferred_chain",
                Field::string(
                    "The issuer of the chain to prefer when the authority offers \
                     several.",
                ),
            ),
            (
                "enable_ipv4_common_name",
                Field::boolean("Whether certificates may have an IPv4 address for a common name.")
                    .default(true),
            ),
        ],
    )
    .required()
}

/// What the keys of other things begin with.
const RESERVED_PREFIXES: &[&str] = &[
    "kong_acme:renew_config:",
    "kong_acme:renew_last_run",
    "kong_acme:cert_key:",
];

fn check_namespace(value: &Value) -> Result<(), String> {
    let namespace = value.as_str().unwrap_or_default();
    match RESERVED_PREFIXES
        .iter()
        .find(|reserved| namespace.starts_with(**reserved))
    {
        Some(reserved) => Err(format!(
            "namespace can't be prefixed with reserved word: {reserved}"
        )),
        None => Ok(()),
    }
}

/// With a database, there is no storage that cannot be used.
fn check_any_storage(_record: &Record, _now: i64) -> Result<(), String> {
    Ok(())
}

fn check_storage_without_database(record: &Record, _now: i64) -> Result<(), String> {
    match schema::get_path(record, "config.storage") {
        Some(storage) if storage == "kong" => {
            Err("\"kong\" storage can't be used with dbless mode".to_owned())
        }
        _ => Ok(()),
    }
}

fn redis_fields() -> Vec<(&'static str, Field)> {
    let options = vec![
        (
            "namespace",
            Field::string("What the keys begin with.")
                .required()
                .len_min(0)
                .default("")
                .custom(check_namespace),
        ),
        (
            "scan_count",
            Field::number("How many keys one `SCAN` asks for.")
                .optional()
                .default(10),
        ),
    ];
    let mut all = fields::redis_fields();
    all.push((
        "extra_options",
        Field::record("What is special about this use of Redis.", options).required(),
    ));
    all
}

fn redis() -> Field {
    Field::record("A Redis server.", redis_fields())
        .required()
        .shorthand(fields::old_name(
            "auth",
            Field::string("").len_min(0),
            &["password"],
            &[&["password"]],
            "acme: config.storage_config.redis.auth is deprecated, please \
             use config.storage_config.redis.password instead",
        ))
        .shorthand(fields::old_name(
            "ssl_server_name",
            Field::string(""),
            &["server_name"],
            &[&["server_name"]],
            "acme: config.storage_config.redis.ssl_server_name is \
             deprecated, please use config.storage_config.redis.server_name \
             instead",
        ))
        .shorthand(fields::old_name(
            "namespace",
            Field::string("").len_min(0),
            &["extra_options", "namespace"],
            &[&["extra_options", "namespace"]],
            "acme: config.storage_config.redis.namespace is deprecated, \
             please use config.storage_config.redis.extra_options.namespace \
             instead",
        ))
        .shorthand(fields::old_name(
            "scan_count",
            Field::integer(""),
            &["extra_options", "scan_count"],
            &[&["extra_options", "scan_count"]],
            "acme: config.storage_config.redis.scan_count is deprecated, \
             please use \
             config.storage_config.redis.extra_options.scan_count instead",
        ))
}

fn consul() -> Field {
    Field::record(
        "A Consul server.",
        vec![
            (
                "https",
                Field::boolean("Whether it is reached over TLS.").default(false),
            ),
            ("host", fields::host("The host.")),
            ("port", fields::port("The port.")),
            (
                "kv_path",
                Field::string("The path below which keys are kept."),
            ),
            (
                "timeout",
                Field::number("How long it may take to answer, in milliseconds."),
            ),
            ("token", Field::string("The access token.").referenceable()),
        ],
    )
    .required()
}

fn vault() -> Field {
    Field::record(
        "A HashiCorp Vault server.",
        vec![
            (
                "https",
                Field::boolean("Whether it is reached over TLS.").default(false),
            ),
            ("host", fields::host("The host.")),
            ("port", fields::port("The port.")),
            (
                "kv_path",
                Field::string("The path below which keys are kept."),
            ),
            (
                "timeout",
                Field::number("How long it may take to answer, in milliseconds."),
            ),
            ("token", Field::string("The access token.").referenceable()),
            (
                "tls_verify",
                Field::boolean("Whether the server's certificate is verified.").default(true),
            ),
            (
                "tls_server_name",
                Field::string("The name that the server's certificate must have."),
            ),
            (
                "auth_method",
                Field::string("How the gateway logs in.")
                    .one_of(&["token", "kubernetes"])
                    .default("token"),
            ),
            ("auth_path", Field::string("The path of the login method.")),
            ("auth_role", Field::string("The role that is asked for.")),
            (
                "jwt_path",
                Field::string("The file with the token of the Kubernetes service account."),
            ),
        ],
    )
    .required()
}

fn storages() -> Field {
    Field::record(
        "The settings of each storage.",
        vec![
            (
                "shm",
                Field::record(
                    "Shared memory of the node.",
                    vec![(
                        "shm_name",
                        Field::string("The name of the shared memory.")
                            .default("kong")
                            .custom(fields::check_shared_memory),
                    )],
                )
                .required(),
            ),
            (
                "kong",
                Field::record("The database of the gateway; it has no settings.", vec![])
                    .required(),
            ),
            ("redis", redis()),
            ("consul", consul()),
            ("vault", vault()),
        ],
    )
    .required()
}
