//! The settings as the rest of the program takes them: typed, checked, with units.

mod postgres;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use stdx::Secret;

use crate::check::{list, text};
use crate::headers::ResponseHeaders;
use crate::listen::Listener;
use crate::pem::PemSource;
use crate::value::Value;
use crate::{Problem, table};
use read::Reader;

pub use postgres::Postgres;

/// Every setting of a node.
#[derive(Debug, Clone)]
pub struct Settings {
    values: BTreeMap<String, Value>,
    explicit: BTreeSet<String>,
    /// Settings that were given as references to secrets, as they were given.
    pub(crate) references: BTreeMap<String, String>,
    /// Absolute.
    pub prefix: PathBuf,
    pub node_id: Option<uuid::Uuid>,
    /// Worker threads; none for one a core.
    pub workers: Option<usize>,
    pub daemon: bool,
    /// The limit of open files; none for the most that the system allows.
    pub open_files: Option<u64>,
    pub listeners: Listeners,
    pub tls: Tls,
    pub logs: Logs,
    pub headers: ResponseHeaders,
    pub headers_upstream_request_id: bool,
    pub trusted_ips: Vec<IpNet>,
    /// Whether peers on unix sockets are trusted (`unix:` in `trusted_ips`).
    pub trust_unix: bool,
    pub real_ip: RealIp,
    /// The origins whose pages may call the Admin API; all if there are none.
    pub admin_origins: Vec<String>,
    pub error_default_type: String,
    pub error_templates: ErrorTemplates,
    pub allow_debug_header: bool,
    pub upstream_keepalive: UpstreamKeepalive,
    pub limits: Limits,
    /// Listening port to outside port.
    pub port_maps: BTreeMap<u16, u16>,
    /// Added to textual content types that name none.
    pub charset: Option<String>,
    pub router_flavor: String,
    pub dns: Dns,
    pub store: StoreChoice,
    /// The plugins that may be configured: `bundled` and names; empty for none.
    pub plugins: Vec<String>,
    /// The entities whose records plugins have at hand from the start.
    pub cache_warmup: Vec<String>,
    /// The vaults that references may name.
    pub vaults: Vec<String>,
    pub vault_env_prefix: Option<String>,
    /// How long an Admin API write waits for the local proxy.
    pub admin_apply_timeout: Duration,
    /// Whether the node counts as ready only while its database answers.
    pub strict_readiness: bool,
}

/// Where the node listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listeners {
    pub proxy: Vec<Listener>,
    pub admin: Vec<Listener>,
    pub status: Vec<Listener>,
}

/// A certificate chain and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    pub certificate: PemSource,
    pub key: PemSource,
}

/// Certificates, and what TLS may negotiate.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Each list is empty if the node shall make its own certificates.
    pub proxy: Vec<KeyPair>,
    pub admin: Vec<KeyPair>,
    pub status: Vec<KeyPair>,
    /// What upstreams are shown if their service names no certificate.
    pub client: Option<KeyPair>,
    /// Authorities for upstream certificates, besides the system's.
    pub trusted: Vec<PemSource>,
    /// Whether the system's authorities count.
    pub trust_system: bool,
    pub verify_depth: u32,
    /// `modern`, `intermediate`, `old`, `fips` or `custom`.
    pub cipher_suite: String,
    /// Protocol versions by OpenSSL's names; they count for `custom`.
    pub protocols: Vec<String>,
    /// OpenSSL's names of ciphers, separated by colons; they count for `custom`.
    pub ciphers: String,
    pub prefer_server_ciphers: bool,
    pub session_tickets: bool,
    pub session_timeout: Duration,
    /// Memory for sessions that resume without a ticket, in bytes.
    pub session_cache: u64,
}

/// The node's logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    pub level: String,
    /// The error log, if the user chose one.
    pub error: Option<PathBuf>,
    /// The error log of a node in the background.
    pub error_default: PathBuf,
    /// None if off.
    pub proxy_access: Option<PathBuf>,
    /// The format's name after the path.
    pub proxy_access_format: Option<String>,
    pub admin_access: Option<PathBuf>,
    pub status_access: Option<PathBuf>,
}

/// How the client's address is found behind trusted peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealIp {
    /// In lower case, or `proxy_protocol`.
    pub header: String,
    pub recursive: bool,
}

/// The texts of the template files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorTemplates {
    pub html: Option<String>,
    pub json: Option<String>,
    pub xml: Option<String>,
    pub plain: Option<String>,
}

/// How connections to upstreams are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamKeepalive {
    /// Zero keeps none.
    pub pool_size: usize,
    /// Zero for no limit.
    pub max_requests: u64,
    /// Zero for no limit.
    pub idle_timeout: Duration,
}

/// What a client may send, and how slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest request line or header line.
    pub header_line: usize,
    /// The longest head.
    pub head: usize,
    /// Zero for no limit.
    pub body: u64,
    pub body_in_memory: usize,
    /// What bodies that are held for plugins take together; zero for no limit.
    pub held_bodies: u64,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub send_timeout: Duration,
    pub keepalive_timeout: Duration,
    pub keepalive_requests: u64,
    /// What idle client connections get when the node finishes.
    pub quit_grace: Duration,
    pub admin_body: usize,
    /// What a cache may take, in bytes.
    pub cache_memory: u64,
}

/// A kind of DNS record to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordType {
    /// What answered the last time.
    Last,
    Srv,
    A,
    Aaaa,
    Cname,
}

/// How names become addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Empty for those of the system.
    pub servers: Vec<SocketAddr>,
    pub hosts_file: PathBuf,
    pub order: Vec<RecordType>,
    /// None for what the answer says.
    pub valid_ttl: Option<Duration>,
    pub stale_ttl: Duration,
    pub cache_size: usize,
    pub not_found_ttl: Duration,
    pub error_ttl: Duration,
    pub no_sync: bool,
}

/// The store and why it is that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChoice {
    /// The embedded store in this file.
    Sqlite { file: PathBuf, chosen: bool },
    /// A declarative configuration in memory, and where it begins.
    Declarative {
        file: Option<PathBuf>,
        text: Option<Secret>,
    },
    /// PostgreSQL, shared by the nodes of a cluster.
    Postgres(Box<Postgres>),
    /// Cassandra.
    Cassandra,
}

impl StoreChoice {
    /// One sentence for the start: which store, and why.
    pub fn reason(&self) -> String {
        match self {
            Self::Sqlite { file, chosen: true } => {
                format!(
                    "embedded SQLite in {}, as `database = sqlite` says",
                    file.display()
                )
            }
            Self::Sqlite {
                file,
                chosen: false,
            } => {
                format!(
                    "embedded SQLite in {}, because no database is configured",
                    file.display()
                )
            }
            Self::Declarative {
                file: Some(file), ..
            } => {
                format!(
                    "none (`database = off`), the configuration comes from {}",
                    file.display()
                )
            }
            Self::Declarative { text: Some(_), .. } => {
                "none (`database = off`), the configuration comes from `declarative_config_string`"
                    .to_owned()
            }
            Self::Declarative { .. } => {
                "none (`database = off`), the configuration comes from POST /config".to_owned()
            }
            Self::Postgres(postgres) if postgres.chosen => {
                format!(
                    "PostgreSQL at {}, as `database = postgres` says",
                    postgres.place()
                )
            }
            Self::Postgres(postgres) => format!(
                "PostgreSQL at {}, because `pg_` settings are given and `database` is not",
                postgres.place()
            ),
            Self::Cassandra => "Cassandra, as `database = cassandra` says".to_owned(),
        }
    }
}

impl Settings {
    /// A value by the setting's name; none if it is not set and has no default.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Whether a user set it.
    pub fn is_explicit(&self, name: &str) -> bool {
        self.explicit.contains(name)
    }

    /// What users set, in the file's syntax and without secrets: a record of what the node runs with.
    ///
    /// Certificates are left out beside their keys, for one without the other is a mistake; references stay references.
    pub fn record(&self) -> String {
        let mut text = String::new();
        for name in &self.explicit {
            let secret = table::find(name).is_some_and(|setting| setting.secret);
            let has_key = table::find(&format!("{name}_key")).is_some();
            let written = match self.references.get(name) {
                Some(reference) => Some(reference.clone()),
                None => self.values.get(name).map(Value::written),
            };
            let written = written.filter(|text| !secret && !has_key && !text.contains('\n'));
            if let Some(written) = written {
                let written = written.replace('#', "\\#");
                text.push_str(&format!("{name} = {written}\n"));
            }
        }
        text
    }

    pub(crate) fn values(&self) -> &BTreeMap<String, Value> {
        &self.values
    }

    pub(crate) fn from_values(
        values: BTreeMap<String, Value>,
        explicit: BTreeSet<String>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut read = Reader {
            values: &values,
            problems,
        };
        let prefix = PathBuf::from(text(&values, "prefix").unwrap_or("."));
        Self {
            node_id: text(&values, "node_id").and_then(|id| uuid::Uuid::try_parse(id).ok()),
            workers: text(&values, "nginx_main_worker_processes").and_then(|n| n.parse().ok()),
            daemon: text(&values, "nginx_main_daemon") != Some("off"),
            open_files: text(&values, "nginx_main_worker_rlimit_nofile")
                .and_then(|n| n.parse().ok()),
            listeners: Listeners {
                proxy: read.listeners("proxy_listen"),
                admin: read.listeners("admin_listen"),
                status: read.listeners("status_listen"),
            },
            tls: read.tls(),
            logs: read.logs(&prefix, &explicit),
            headers: ResponseHeaders::from_words(list(&values, "headers")),
            headers_upstream_request_id: list(&values, "headers_upstream")
                .first()
                .is_some_and(|word| !word.eq_ignore_ascii_case("off")),
            trusted_ips: read.trusted_ips(),
            trust_unix: list(&values, "trusted_ips")
                .iter()
                .any(|item| item == "unix:"),
            real_ip: RealIp {
                header: text(&values, "nginx_proxy_real_ip_header")
                    .unwrap_or("X-Real-IP")
                    .to_ascii_lowercase(),
                recursive: text(&values, "nginx_proxy_real_ip_recursive") == Some("on"),
            },
            admin_origins: read.origins("admin_gui_url"),
            error_default_type: text(&values, "error_default_type")
                .unwrap_or("text/plain")
                .to_owned(),
            error_templates: ErrorTemplates {
                html: read.template("error_template_html"),
                json: read.template("error_template_json"),
                xml: read.template("error_template_xml"),
                plain: read.template("error_template_plain"),
            },
            allow_debug_header: read.boolean("allow_debug_header"),
            upstream_keepalive: UpstreamKeepalive {
                pool_size: read.count("upstream_keepalive_pool_size"),
                max_requests: read.integer("upstream_keepalive_max_requests"),
                idle_timeout: read
                    .seconds("upstream_keepalive_idle_timeout")
                    .unwrap_or_default(),
            },
            limits: read.limits(),
            port_maps: read.port_maps(),
            charset: text(&values, "nginx_http_charset")
                .filter(|name| *name != "off")
                .map(str::to_owned),
            router_flavor: text(&values, "router_flavor")
                .unwrap_or("traditional_compatible")
                .to_owned(),
            dns: read.dns(),
            store: read.store(&prefix, &explicit),
            plugins: not_off(list(&values, "plugins")),
            cache_warmup: list(&values, "db_cache_warmup_entities").to_vec(),
            vaults: not_off(list(&values, "vaults")),
            vault_env_prefix: text(&values, "vault_env_prefix").map(str::to_owned),
            strict_readiness: text(&values, "silverback_readiness") == Some("strict"),
            admin_apply_timeout: read.seconds("admin_apply_timeout").unwrap_or_default(),
            prefix,
            references: BTreeMap::new(),
            explicit,
            values,
        }
    }
}

fn not_off(items: &[String]) -> Vec<String> {
    if items.first().is_some_and(|item| item == "off") {
        return Vec::new();
    }
    items
        .iter()
        .filter(|item| *item != "off")
        .cloned()
        .collect()
}

/// Kong's default if this user can have it, or a folder that is surely the user's.
pub(crate) fn default_prefix(home: Option<&Path>) -> PathBuf {
    let kong = Path::new("/usr/local/kong");
    let writable = |path: &Path| {
        let metadata = std::fs::metadata(path);
        metadata.is_ok_and(|metadata| metadata.is_dir() && !metadata.permissions().readonly())
            && tempfile_can_be_made(path)
    };
    if writable(kong) || (!kong.exists() && kong.parent().is_some_and(writable)) {
        return kong.to_owned();
    }
    match home {
        Some(home) if home.is_dir() => home.join(".silverback"),
        _ => PathBuf::from(".silverback"),
    }
}

/// Permissions do not tell everything (read-only file systems, access lists), an attempt does.
fn tempfile_can_be_made(folder: &Path) -> bool {
    let probe = folder.join(format!(".silverback-{}", std::process::id()));
    let made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&probe)
        .is_ok();
    if made {
        // Nothing depends on the probe; if it stays, it is empty.
        let _ = std::fs::remove_file(&probe);
    }
    made
}
