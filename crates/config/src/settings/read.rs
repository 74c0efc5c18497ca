//! Typed values out of checked ones, noting what cannot be read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use stdx::Secret;

use super::{Dns, KeyPair, Limits, Logs, RecordType, StoreChoice, Tls};
use crate::Problem;
use crate::check::{list, text};
use crate::listen::{self, Listener};
use crate::pem::PemSource;
use crate::value::{Value, parse_duration, parse_size};

/// Reads typed values, noting what cannot be read.
pub(super) struct Reader<'a> {
    pub(super) values: &'a BTreeMap<String, Value>,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    pub(super) fn refuse(&mut self, name: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(name, message));
    }

    pub(super) fn boolean(&self, name: &str) -> bool {
        self.values.get(name) == Some(&Value::Bool(true))
    }

    pub(super) fn number(&self, name: &str) -> Option<f64> {
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
    pub(super) fn integer(&self, name: &str) -> u64 {
        self.number(name).unwrap_or_default() as u64
    }

    pub(super) fn count(&self, name: &str) -> usize {
        usize::try_from(self.integer(name)).unwrap_or(usize::MAX)
    }

    pub(super) fn seconds(&self, name: &str) -> Option<Duration> {
        self.number(name)
            .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }

    pub(super) fn duration(&self, name: &str, default: Duration) -> Duration {
        text(self.values, name)
            .and_then(parse_duration)
            .unwrap_or(default)
    }

    pub(super) fn size(&self, name: &str, default: u64) -> u64 {
        text(self.values, name)
            .and_then(parse_size)
            .unwrap_or(default)
    }

    pub(super) fn listeners(&mut self, name: &str) -> Vec<Listener> {
        match listen::parse(list(self.values, name), false) {
            Ok(listeners) => listeners,
            Err(message) => {
                self.refuse(name, format!("{name} {message}"));
                Vec::new()
            }
        }
    }

    pub(super) fn key_pairs(&self, prefix: &str) -> Vec<KeyPair> {
        let certificates = list(self.values, &format!("{prefix}ssl_cert"));
        let keys = list(self.values, &format!("{prefix}ssl_cert_key"));
        let pairs = certificates.iter().zip(keys);
        pairs
            .filter_map(|(certificate, key)| key_pair(certificate, key))
            .collect()
    }

    pub(super) fn tls(&mut self) -> Tls {
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

    pub(super) fn logs(&mut self, prefix: &Path, explicit: &BTreeSet<String>) -> Logs {
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

    pub(super) fn trusted_ips(&mut self) -> Vec<IpNet> {
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

    /// The origins of URLs: their schemes and authorities.
    pub(super) fn origins(&mut self, name: &str) -> Vec<String> {
        let mut origins = Vec::new();
        for url in list(self.values, name) {
            let (scheme, rest) = url.split_once("://").unwrap_or_default();
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
            if plain && matches!(scheme, "http" | "https") && !authority.is_empty() {
                origins.push(format!("{scheme}://{authority}"));
            } else {
                self.refuse(
                    name,
                    format!("{name} must be URLs that begin with http:// or https://, got '{url}'"),
                );
            }
        }
        origins
    }

    pub(super) fn template(&mut self, name: &str) -> Option<String> {
        let path = text(self.values, name)?;
        match stdx::files::read_small_text(Path::new(path)) {
            Ok(template) => Some(template),
            Err(error) => {
                self.refuse(name, format!("{name}: cannot read '{path}': {error}"));
                None
            }
        }
    }

    pub(super) fn limits(&mut self) -> Limits {
        const MINUTE: Duration = Duration::from_secs(60);
        /// Perf: a file costs more than this much memory for as long as a request lasts (`cargo xtask bench`, "POST, 16 KiB body").
        const SMALL_BODY: usize = 64 << 10;
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
            body_in_memory: to_usize(self.size("nginx_http_client_body_buffer_size", 0))
                .max(SMALL_BODY),
            held_bodies: self.size("silverback_held_bodies", 256 << 20),
            header_timeout: self.duration("nginx_http_client_header_timeout", MINUTE),
            body_timeout: self.duration("nginx_http_client_body_timeout", MINUTE),
            send_timeout: self.duration("nginx_http_send_timeout", MINUTE),
            keepalive_timeout: self
                .duration("nginx_http_keepalive_timeout", Duration::from_secs(75)),
            keepalive_requests: self.integer("nginx_http_keepalive_requests"),
            quit_grace: self.seconds("silverback_quit_grace").unwrap_or_default(),
            cache_memory: self.size("mem_cache_size", 128 << 20),
            admin_body: if admin_body == 0 {
                1 << 30
            } else {
                to_usize(admin_body)
            },
        }
    }

    pub(super) fn port_maps(&mut self) -> BTreeMap<u16, u16> {
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

    pub(super) fn dns(&mut self) -> Dns {
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

    pub(super) fn name_servers(&mut self, name: &'static str) -> Vec<SocketAddr> {
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

    pub(super) fn store(&mut self, prefix: &Path, explicit: &BTreeSet<String>) -> StoreChoice {
        let chosen = explicit.contains("database");
        match text(self.values, "database") {
            Some("off") => StoreChoice::Declarative {
                file: text(self.values, "declarative_config").map(PathBuf::from),
                text: text(self.values, "declarative_config_string").map(Secret::new),
            },
            Some("postgres") => StoreChoice::Postgres(Box::new(self.postgres(explicit))),
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
