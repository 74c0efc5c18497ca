//! The settings as the rest of the program takes them: typed, checked, with units.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use stdx::Secret;

use crate::check::{list, text};
use crate::headers::ResponseHeaders;
use crate::listen::{self, Listener};
use crate::pem::PemSource;
use crate::value::{Value, parse_duration, parse_size};
use crate::{Problem, table};

/// Every setting of a node.
#[derive(Debug, Clone)]
pub struct Settings {
    values: BTreeMap<String, Value>,
    explicit: BTreeSet<String>,
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
    /// The vaults that references may name.
    pub vaults: Vec<String>,
    pub vault_env_prefix: Option<String>,
    /// How long an Admin API write waits for the local proxy.
    pub admin_apply_timeout: Duration,
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
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub send_timeout: Duration,
    pub keepalive_timeout: Duration,
    pub keepalive_requests: u64,
    pub admin_body: usize,
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
    /// PostgreSQL; not chosen by name if a `pg_` setting implied it.
    Postgres { chosen: bool },
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
            Self::Postgres { chosen: true } => {
                "PostgreSQL, as `database = postgres` says".to_owned()
            }
            Self::Postgres { chosen: false } => {
                "PostgreSQL, because `pg_` settings are given and `database` is not".to_owned()
            }
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
    pub fn record(&self) -> String {
        let mut text = String::new();
        for name in &self.explicit {
            let secret = table::find(name).is_some_and(|setting| setting.secret);
            if let (false, Some(value)) = (secret, self.values.get(name)) {
                let value = value.written().replace('#', "\\#").replace('\n', " ");
                text.push_str(&format!("{name} = {value}\n"));
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
            vaults: not_off(list(&values, "vaults")),
            vault_env_prefix: text(&values, "vault_env_prefix").map(str::to_owned),
            admin_apply_timeout: read.seconds("admin_apply_timeout").unwrap_or_default(),
            prefix,
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

/// Reads typed values, noting what cannot be read.
struct Reader<'a> {
    values: &'a BTreeMap<String, Value>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn refuse(&mut self, name: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(name, message));
    }

    fn boolean(&self, name: &str) -> bool {
        self.values.get(name) == Some(&Value::Bool(true))
    }

    fn number(&self, name: &str) -> Option<f64> {
        match self.values.get(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "declared as an integer of at least 0"
    )]
    fn integer(&self, name: &str) -> u64 {
        self.number(name).unwrap_or_default() as u64
    }

    fn count(&self, name: &str) -> usize {
        usize::try_from(self.integer(name)).unwrap_or(usize::MAX)
    }

    fn seconds(&self, name: &str) -> Option<Duration> {
        self.number(name)
            .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }

    fn duration(&self, name: &str, default: Duration) -> Duration {
        text(self.values, name)
            .and_then(parse_duration)
            .unwrap_or(default)
    }

    fn size(&self, name: &str, default: u64) -> u64 {
        text(self.values, name)
            .and_then(parse_size)
            .unwrap_or(default)
    }

    fn listeners(&mut self, name: &str) -> Vec<Listener> {
        match listen::parse(list(self.values, name), false) {
            Ok(listeners) => listeners,
            Err(message) => {
                self.refuse(name, format!("{name} {message}"));
                Vec::new()
            }
        }
    }

    fn key_pairs(&self, prefix: &str) -> Vec<KeyPair> {
        let certificates = list(self.values, &format!("{prefix}ssl_cert"));
        let keys = list(self.values, &format!("{prefix}ssl_cert_key"));
        let pairs = certificates.iter().zip(keys);
        pairs
            .filter_map(|(certificate, key)| key_pair(certificate, key))
            .collect()
    }

    fn tls(&mut self) -> Tls {
        let protocols = text(self.values, "nginx_http_ssl_protocols").unwrap_or("TLSv1.2 TLSv1.3");
        let protocols: Vec<String> = protocols.split_whitespace().map(str::to_owned).collect();
        let suite = text(self.values, "ssl_cipher_suite").unwrap_or_default();
        let usable = |word: &String| word == "TLSv1.2" || word == "TLSv1.3";
        if suite == "custom" && (!protocols.iter().all(usable) || protocols.is_empty()) {
            let message = format!(
                "ssl_protocols names a version that cannot be used: '{}' (TLSv1.2, TLSv1.3)",
                protocols.join(" ")
            );
            self.refuse("ssl_protocols", message);
        }
        let client = match (
            text(self.values, "client_ssl_cert"),
            text(self.values, "client_ssl_cert_key"),
        ) {
            (Some(certificate), Some(key)) if self.boolean("client_ssl") => {
                key_pair(certificate, key)
            }
            _ => None,
        };
        let trusted = list(self.values, "lua_ssl_trusted_certificate");
        Tls {
            proxy: self.key_pairs(""),
            admin: self.key_pairs("admin_"),
            status: self.key_pairs("status_"),
            client,
            trusted: trusted
                .iter()
                .filter(|item| *item != "system")
                .filter_map(|item| PemSource::parse(item))
                .collect(),
            trust_system: trusted.iter().any(|item| item == "system"),
            verify_depth: u32::try_from(self.integer("lua_ssl_verify_depth")).unwrap_or(u32::MAX),
            cipher_suite: suite.to_owned(),
            protocols,
            ciphers: text(self.values, "ssl_ciphers")
                .unwrap_or_default()
                .to_owned(),
            prefer_server_ciphers: text(self.values, "nginx_http_ssl_prefer_server_ciphers")
                == Some("on"),
            session_tickets: text(self.values, "nginx_http_ssl_session_tickets") != Some("off"),
            session_timeout: self.duration(
                "nginx_http_ssl_session_timeout",
                Duration::from_secs(86_400),
            ),
            session_cache: self.size("ssl_session_cache_size", 10 << 20),
        }
    }

    fn logs(&mut self, prefix: &Path, explicit: &BTreeSet<String>) -> Logs {
        let place = |name: &str| {
            let words = text(self.values, name).unwrap_or("off");
            let path = words
                .split_whitespace()
                .next()
                .filter(|path| *path != "off");
            path.map(|path| prefix.join(path))
        };
        let error = place("proxy_error_log");
        Logs {
            level: text(self.values, "log_level")
                .unwrap_or("notice")
                .to_owned(),
            error: error
                .clone()
                .filter(|_| explicit.contains("proxy_error_log")),
            error_default: error.unwrap_or_else(|| PathBuf::from("/dev/null")),
            proxy_access: place("proxy_access_log"),
            proxy_access_format: text(self.values, "proxy_access_log")
                .and_then(|words| words.split_whitespace().nth(1))
                .map(str::to_owned),
            admin_access: place("admin_access_log"),
            status_access: place("status_access_log"),
        }
    }

    fn trusted_ips(&mut self) -> Vec<IpNet> {
        let mut blocks = Vec::new();
        for item in list(self.values, "trusted_ips") {
            let block = item
                .parse::<IpNet>()
                .or_else(|_| item.parse::<IpAddr>().map(IpNet::from));
            match block {
                Ok(block) => blocks.push(block),
                Err(_) if item == "unix:" => {}
                Err(_) => {
                    let message = format!(
                        "trusted_ips must be a comma separated list in the form of IPv4 or IPv6 address or CIDR \
                         block or 'unix:', got '{item}'"
                    );
                    self.refuse("trusted_ips", message);
                }
            }
        }
        blocks
    }

    fn template(&mut self, name: &str) -> Option<String> {
        let path = text(self.values, name)?;
        match std::fs::read_to_string(path) {
            Ok(template) => Some(template),
            Err(error) => {
                self.refuse(name, format!("{name}: cannot read '{path}': {error}"));
                None
            }
        }
    }

    fn limits(&mut self) -> Limits {
        const MINUTE: Duration = Duration::from_secs(60);
        let buffers = text(self.values, "nginx_http_large_client_header_buffers").unwrap_or("4 8k");
        let parsed = buffers
            .split_once(char::is_whitespace)
            .and_then(|(number, size)| {
                let number: usize = number.parse().ok().filter(|n| (1..=1024).contains(n))?;
                let size = usize::try_from(parse_size(size.trim())?)
                    .ok()
                    .filter(|n| (256..=1 << 24).contains(n))?;
                Some((number, size))
            });
        let (number, size) = parsed.unwrap_or_else(|| {
            let message = format!(
                "nginx_http_large_client_header_buffers must be a number and a size such as '4 8k', got '{buffers}'"
            );
            self.refuse("nginx_http_large_client_header_buffers", message);
            (4, 8 << 10)
        });
        let to_usize = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let admin_body = self.size("nginx_admin_client_max_body_size", 10 << 20);
        Limits {
            header_line: size,
            head: number * size,
            body: self.size("nginx_http_client_max_body_size", 0),
            body_in_memory: to_usize(self.size("nginx_http_client_body_buffer_size", 8 << 10)),
            header_timeout: self.duration("nginx_http_client_header_timeout", MINUTE),
            body_timeout: self.duration("nginx_http_client_body_timeout", MINUTE),
            send_timeout: self.duration("nginx_http_send_timeout", MINUTE),
            keepalive_timeout: self
                .duration("nginx_http_keepalive_timeout", Duration::from_secs(75)),
            keepalive_requests: self.integer("nginx_http_keepalive_requests"),
            admin_body: if admin_body == 0 {
                1 << 30
            } else {
                to_usize(admin_body)
            },
        }
    }

    fn port_maps(&mut self) -> BTreeMap<u16, u16> {
        let mut maps = BTreeMap::new();
        for item in list(self.values, "port_maps") {
            let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
            let pair = item
                .split_once(':')
                .and_then(|(outside, inside)| Some((port(inside)?, port(outside)?)));
            match pair {
                Some((inside, outside)) => {
                    maps.insert(inside, outside);
                }
                None => {
                    let message = format!(
                        "invalid port mapping (`port_maps`): {item} (outside:inside, such as 80:8000)"
                    );
                    self.refuse("port_maps", message);
                }
            }
        }
        maps
    }

    fn dns(&mut self) -> Dns {
        let new = self.boolean("new_dns_client");
        let name = |dns: &'static str, resolver: &'static str| if new { resolver } else { dns };
        let servers = self.name_servers(name("dns_resolver", "resolver_address"));
        let order = list(self.values, name("dns_order", "resolver_family"))
            .iter()
            .filter_map(|word| {
                Some(match word.to_ascii_uppercase().as_str() {
                    "LAST" => RecordType::Last,
                    "SRV" => RecordType::Srv,
                    "A" => RecordType::A,
                    "AAAA" => RecordType::Aaaa,
                    "CNAME" => RecordType::Cname,
                    _ => return None,
                })
            });
        let error_ttl = self
            .seconds(name("dns_error_ttl", "resolver_error_ttl"))
            .unwrap_or_default();
        Dns {
            servers,
            hosts_file: PathBuf::from(
                text(self.values, name("dns_hostsfile", "resolver_hosts_file"))
                    .unwrap_or("/etc/hosts"),
            ),
            order: order.collect(),
            valid_ttl: self.seconds(name("dns_valid_ttl", "resolver_valid_ttl")),
            stale_ttl: self
                .seconds(name("dns_stale_ttl", "resolver_stale_ttl"))
                .unwrap_or_default(),
            cache_size: self.count(name("dns_cache_size", "resolver_lru_cache_size")),
            not_found_ttl: if new {
                error_ttl
            } else {
                self.seconds("dns_not_found_ttl").unwrap_or_default()
            },
            error_ttl,
            no_sync: self.boolean("dns_no_sync"),
        }
    }

    fn name_servers(&mut self, name: &'static str) -> Vec<SocketAddr> {
        let mut servers = Vec::new();
        for item in list(self.values, name) {
            let bare = item.trim_start_matches('[').trim_end_matches(']');
            let server = item
                .parse::<SocketAddr>()
                .or_else(|_| bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)));
            match server {
                Ok(server) => servers.push(server),
                Err(_) => {
                    let message = format!(
                        "{name} must be a comma separated list in the form of IPv4/6 or IPv4/6:port, got '{item}'"
                    );
                    self.refuse(name, message);
                }
            }
        }
        servers
    }

    fn store(&mut self, prefix: &Path, explicit: &BTreeSet<String>) -> StoreChoice {
        let chosen = explicit.contains("database");
        match text(self.values, "database") {
            Some("off") => StoreChoice::Declarative {
                file: text(self.values, "declarative_config").map(PathBuf::from),
                text: text(self.values, "declarative_config_string").map(Secret::new),
            },
            Some("postgres") => StoreChoice::Postgres { chosen },
            Some("cassandra") => StoreChoice::Cassandra,
            _ => StoreChoice::Sqlite {
                file: prefix.join(text(self.values, "sqlite_path").unwrap_or("silverback.db")),
                chosen,
            },
        }
    }
}

fn key_pair(certificate: &str, key: &str) -> Option<KeyPair> {
    Some(KeyPair {
        certificate: PemSource::parse(certificate)?,
        key: PemSource::parse(key)?,
    })
}
