//! Where the database is and how much of it to use.

use std::collections::BTreeSet;
use std::time::Duration;

use stdx::Secret;

use super::read::Reader;
use crate::check::text;

/// How long the settings of the web server that Kong has within let a socket take when nothing else is said.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(60);

/// Connections of a node unless `pg_pool_size` says otherwise.
const POOL_SIZE: usize = 10;

/// How to reach PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// Whether `database` names it; otherwise a `pg_` setting implied it.
    pub chosen: bool,
    /// With their ports, in the order in which they are tried; a name that starts with `/` is the folder of a socket.
    pub hosts: Vec<(String, u16)>,
    pub user: String,
    /// Empty for none.
    pub password: Secret,
    pub database: String,
    /// None for what the user's search path says.
    pub schema: Option<String>,
    pub ssl: bool,
    pub ssl_verify: bool,
    /// For connecting and for a query.
    pub timeout: Duration,
    pub pool_size: usize,
    /// Zero for no limit.
    pub max_concurrent_queries: usize,
    /// How long a query waits for its turn.
    pub semaphore_timeout: Duration,
    /// How long a connection may be idle.
    pub keepalive: Duration,
    /// A server that follows this one, to read from.
    pub reader: Option<Box<Postgres>>,
}

impl Postgres {
    /// The database and where it is, for people.
    pub fn place(&self) -> String {
        let hosts = self.hosts.iter().map(|(host, port)| {
            if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            }
        });
        let hosts: Vec<String> = hosts.collect();
        format!("{}/{}", hosts.join(","), self.database)
    }
}

impl Reader<'_> {
    pub(super) fn postgres(&mut self, explicit: &BTreeSet<String>) -> Postgres {
        let chosen = explicit.contains("database");
        let reader = text(self.values, "pg_ro_host").is_some();
        Postgres {
            reader: reader.then(|| Box::new(self.server("pg_ro", chosen))),
            ..self.server("pg", chosen)
        }
    }

    /// One server, by the first part of its settings' names.
    fn server(&mut self, of: &str, chosen: bool) -> Postgres {
        let name = |part: &str| format!("{of}_{part}");
        let read = |part: &str| text(self.values, &name(part)).map(str::to_owned);
        let mut server = Postgres {
            chosen,
            hosts: Vec::new(),
            user: read("user").unwrap_or_else(|| "kong".to_owned()),
            password: read("password").map(Secret::new).unwrap_or_default(),
            database: read("database").unwrap_or_else(|| "kong".to_owned()),
            schema: read("schema"),
            ssl: self.boolean(&name("ssl")),
            ssl_verify: self.boolean(&name("ssl_verify")),
            timeout: self.millis(&name("timeout")).unwrap_or(SOCKET_TIMEOUT),
            pool_size: match self.count(&name("pool_size")) {
                0 => POOL_SIZE,
                size => size,
            },
            max_concurrent_queries: self.count(&name("max_concurrent_queries")),
            semaphore_timeout: self.millis(&name("semaphore_timeout")).unwrap_or_default(),
            keepalive: match self.number(&name("keepalive_timeout")) {
                None => SOCKET_TIMEOUT,
                Some(_) => self
                    .millis(&name("keepalive_timeout"))
                    .unwrap_or(Duration::MAX),
            },
            reader: None,
        };
        server.hosts = self.hosts(&name("host"), &name("port"));
        server
    }

    /// A time in milliseconds; none for zero and for what is not set.
    fn millis(&self, name: &str) -> Option<Duration> {
        Some(self.integer(name))
            .filter(|millis| *millis > 0)
            .map(Duration::from_millis)
    }

    /// One host or several, separated by commas, each with a port of its own if it names one.
    fn hosts(&mut self, name: &str, port: &str) -> Vec<(String, u16)> {
        let default = u16::try_from(self.integer(port)).unwrap_or(5432);
        let hosts = text(self.values, name).unwrap_or("127.0.0.1").to_owned();
        let items = hosts.split(',').map(str::trim);
        let mut found = Vec::new();
        for item in items.filter(|item| !item.is_empty()) {
            match host_and_port(item, default) {
                Some(host) => found.push(host),
                None => self.refuse(
                    name,
                    format!(
                        "{name} must be a host, a host with a port, the folder of a socket, or several of them \
                         separated by commas, got '{item}'"
                    ),
                ),
            }
        }
        found
    }
}

/// `name`, `name:port`, an IPv6 address with or without brackets, or a folder.
fn host_and_port(item: &str, default: u16) -> Option<(String, u16)> {
    if item.starts_with('/') || item.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some((item.to_owned(), default));
    }
    if let Some(rest) = item.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let port = match rest.strip_prefix(':') {
            Some(port) => parse_port(port)?,
            None if rest.is_empty() => default,
            None => return None,
        };
        return Some((address.to_owned(), port));
    }
    match item.split_once(':') {
        Some((host, port)) if !host.is_empty() => Some((host.to_owned(), parse_port(port)?)),
        Some(_) => None,
        None => Some((item.to_owned(), default)),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests;
