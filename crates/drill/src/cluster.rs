//! The cluster that is broken: PostgreSQL, three nodes, nginx in front with the product's configuration, an upstream.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use fleet::{Durability, Nginx, Node, Postgres, Redis, http};
use nix::mount::{MsFlags, umount};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::load::{Method, Traffic};
use crate::namespace::Namespace;
use crate::relay::Relay;
use crate::upstream::Upstream;
use crate::wait;

/// The product's configuration of nginx.
const NGINX: &str = include_str!("../../../deploy/nginx/silverback.conf");
const NGINX_NODES: &str = include_str!("../../../deploy/nginx/silverback-nodes.conf");

const DATABASE: &str = "kong";

/// How long a node may take to serve, and the cluster to converge, before that counts as never.
const PATIENCE: Duration = Duration::from_secs(60);

/// The size of the disk that one node has for itself where that can be made, in MiB: enough for its logs of a long drill.
const DISK: u32 = 256;

/// Clients, each with a key of its own: more than are asked for in a moment, so that some are always cold.
const KEYS: u64 = 20_000;

/// Connections that the database takes at most.
const MAX_CONNECTIONS: u32 = 40;

/// What a cluster has besides the least.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extras {
    /// A second database that follows the first.
    pub standby: bool,
    /// The last node in a network namespace, the first with a disk of its own; both need root.
    pub root: bool,
}

/// Where the counters are that limit requests; the limits themselves are never reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// Requests are not limited.
    Not,
    Redis,
    /// In Redis as well, but counted on the nodes and sent there every second.
    RedisSynced,
    Database,
}

impl Limited {
    /// The path of requests, before their number.
    fn path(self) -> &'static str {
        match self {
            Self::Not => "/drill/",
            Self::Redis => "/limited-redis/",
            Self::RedisSynced => "/limited-synced/",
            Self::Database => "/limited-database/",
        }
    }
}

/// A node and the ways to its databases.
pub struct Member {
    pub node: Node,
    pub proxy: SocketAddr,
    pub admin: SocketAddr,
    pub status: SocketAddr,
    /// To the database, and to the standby if there is one.
    pub relays: Vec<Relay>,
}

/// The whole; everything ends when it is dropped, clients before servers.
pub struct Cluster {
    /// Where clients go.
    pub front: SocketAddr,
    _nginx: Nginx,
    pub members: Vec<Member>,
    /// The disk that the first node has for itself.
    pub disk: Option<Disk>,
    upstream: Upstream,
    pub redis: Redis,
    /// The way that all nodes take to Redis.
    pub redis_relay: Relay,
    pub namespace: Option<Namespace>,
    postgres: Postgres,
    pub standby: Option<Postgres>,
    /// Whether the standby has taken the place of the first database.
    switched: Mutex<bool>,
    /// How many changes were made, to make another one.
    changes: Mutex<u32>,
}

impl Cluster {
    /// Starts everything, configures two routes, and returns when all nodes serve them.
    pub fn start(program: &Path, extras: Extras) -> anyhow::Result<Self> {
        let postgres = Postgres::create(Durability::Fast)?;
        postgres.set("max_connections", &MAX_CONNECTIONS.to_string())?;
        postgres.resume()?;
        postgres.create_database(DATABASE)?;
        let standby = extras.standby.then(|| postgres.standby()).transpose()?;
        let namespace = extras.root.then(Namespace::new).transpose()?;
        let here = namespace
            .as_ref()
            .map_or(Ipv4Addr::LOCALHOST.into(), Namespace::here);
        let upstream = Upstream::start(here)?;
        let redis = Redis::start()?;
        let redis_relay = Relay::start(here, redis.address())?;
        let databases: Vec<_> = [Some(&postgres), standby.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        let mut members = Vec::new();
        for number in 0..3 {
            let inside = namespace.as_ref().filter(|_| number == 2);
            members.push(member(program, &databases, here, inside)?);
        }
        let disk = extras
            .root
            .then(|| Disk::mount(&members[0].node.prefix()))
            .transpose()?;
        members[0].node.call(&["migrations", "bootstrap"])?;
        for member in &members {
            member.node.launch()?;
        }
        let [front, admin] = fleet::free_ports()?;
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (http, nodes) = nginx(&members, front, admin)?;
        for member in &members {
            member.wait_until_ready()?;
        }
        let nginx = Nginx::start(&http, &[("nodes.conf", &nodes)], || {
            http::get(address(front), "/").is_ok()
        })?;
        let cluster = Self {
            front: address(front),
            _nginx: nginx,
            members,
            disk,
            upstream,
            redis,
            redis_relay,
            namespace,
            postgres,
            standby,
            switched: Mutex::new(false),
            changes: Mutex::new(0),
        };
        cluster.configure()?;
        Ok(cluster)
    }

    fn configure(&self) -> anyhow::Result<()> {
        let url = self.upstream.url();
        let consumers = (0..KEYS).map(|key| {
            let credentials = json!([{ "key": format!("key-{key}") }]);
            json!({ "username": format!("client-{key}"), "keyauth_credentials": credentials })
        });
        let redis = self.redis_relay.address();
        let redis = json!({ "host": redis.ip().to_string(), "port": redis.port() });
        let limited = |by: Limited, config: Value| {
            let mut config = config;
            config["minute"] = json!(1_000_000_000);
            let path = by.path().trim_end_matches('/');
            json!({
                "name": path.trim_start_matches('/'),
                "url": url,
                "routes": [{ "paths": [path], "strip_path": false }],
                "plugins": [{ "name": "rate-limiting", "config": config }],
            })
        };
        let document = json!({
            "_format_version": "3.0",
            "services": [
                limited(Limited::Redis, json!({ "policy": "redis", "redis": redis })),
                limited(
                    Limited::RedisSynced,
                    json!({ "policy": "redis", "redis": redis, "sync_rate": 1 }),
                ),
                limited(Limited::Database, json!({ "policy": "cluster" })),
                { "name": "marker", "url": url, "routes": [{ "paths": ["/marker"] }] },
                {
                    "name": "drill",
                    "url": url,
                    "routes": [{ "paths": ["/drill"], "strip_path": false }],
                    "plugins": [{ "name": "key-auth" }],
                },
            ],
            "consumers": consumers.collect::<Vec<_>>(),
        });
        let first = &self.members[0].node;
        let file = first.folder().write("drill.json", &document.to_string())?;
        first.call(&["config", "db_import", &file.display().to_string()])?;
        let converged = self.converge(&self.running())?;
        converged.context("the cluster does not converge even before anything is broken")?;
        Ok(())
    }

    /// What the nodes and the database said last.
    pub fn last_words(&self) -> String {
        let mut words = String::new();
        for (number, member) in self.members.iter().enumerate() {
            words.push_str(&format!("node {number}:\n{}\n", tail(&member.node.log())));
        }
        words.push_str(&format!("PostgreSQL:\n{}", tail(&self.primary().log())));
        words
    }

    /// What clients ask of it.
    pub fn traffic(&self, limited: Limited, method: Method, rate: u32) -> Traffic {
        Traffic {
            server: self.front,
            host: "drill.test".to_owned(),
            path: limited.path().to_owned(),
            headers: "apikey: key-{key}\r\n".to_owned(),
            keys: KEYS,
            // The line of the request.
            expected: " {path} HTTP/1.1 at upstream\n".to_owned(),
            method,
            rate,
        }
    }

    /// The database that takes writes.
    pub fn primary(&self) -> &Postgres {
        match &self.standby {
            Some(standby) if *self.switched.lock() => standby,
            _ => &self.postgres,
        }
    }

    /// Makes the standby the database that takes writes.
    pub fn switch(&self) -> anyhow::Result<()> {
        let standby = self.standby.as_ref().context("there is no standby")?;
        standby.promote()?;
        *self.switched.lock() = true;
        Ok(())
    }

    /// The nodes that have a process.
    pub fn running(&self) -> Vec<&Member> {
        let members = self.members.iter();
        members.filter(|member| member.node.is_running()).collect()
    }

    /// Makes a change as soon as one of the nodes takes it; how long it took until all of them served it.
    pub fn converge(&self, nodes: &[&Member]) -> anyhow::Result<Option<Duration>> {
        let number = {
            let mut changes = self.changes.lock();
            *changes += 1;
            *changes
        };
        let start = Instant::now();
        let change = json!({ "path": format!("/change{number}") });
        let mut writers = nodes.iter().cycle();
        let made = wait::until(PATIENCE, || {
            let made = writers.next().map(|node| {
                let answer = node.ask("PATCH", "/services/marker", &change);
                answer.is_ok_and(|(status, _)| status == 200)
            });
            made == Some(true)
        });
        if made.is_none() {
            return Ok(None);
        }
        let expected = format!("GET /change{number} ");
        for node in nodes {
            let left = PATIENCE.saturating_sub(start.elapsed());
            let served = wait::until(left, || {
                let answer = http::get(node.proxy, "/marker");
                answer.is_ok_and(|answer| answer.text().starts_with(&expected))
            });
            if served.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(start.elapsed()))
    }
}

impl Member {
    /// Waits until the node says that it is ready to serve; how long it took.
    pub fn wait_until_ready(&self) -> anyhow::Result<Duration> {
        let ready = wait::until(PATIENCE, || {
            let answer = http::get(self.status, "/status/ready");
            answer.is_ok_and(|answer| answer.status == 200) || !self.node.is_running()
        });
        match ready {
            Some(after) if self.node.is_running() => Ok(after),
            _ => bail!("a node does not get ready:\n{}", tail(&self.node.log())),
        }
    }

    /// Starts the node; how long it took until it served a request.
    pub fn start(&self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        self.node.launch()?;
        let served = wait::until(PATIENCE, || {
            // A key that no request has used for a while, or ever.
            let key = [("apikey", "key-0")];
            let answer = http::request(self.proxy, "GET", "/drill/started", &key, b"");
            answer.is_ok_and(|answer| answer.status == 200) || !self.node.is_running()
        });
        let after = start.elapsed();
        match served {
            Some(_) if self.node.is_running() => Ok(after),
            _ => bail!("a node does not serve:\n{}", tail(&self.node.log())),
        }
    }

    /// A request to the Admin API: status and body.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<(u16, String)> {
        let answer = http::send_json(self.admin, method, path, &body.to_string())?;
        Ok((answer.status, answer.text()))
    }
}

/// The end of a log.
fn tail(log: &str) -> String {
    const LINES: usize = 15;
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// A node that does not run yet, perhaps in a namespace.
fn member(
    program: &Path,
    databases: &[&Postgres],
    here: IpAddr,
    inside: Option<&Namespace>,
) -> anyhow::Result<Member> {
    let mut relays = Vec::new();
    for database in databases {
        relays.push(Relay::start(here, database.address())?);
    }
    let hosts: Vec<_> = relays.iter().map(|r| r.address().to_string()).collect();
    let first = databases.first().context("there is no database")?;
    let node = match inside {
        Some(namespace) => Node::new(&namespace.program(program)?)?,
        None => Node::new(program)?,
    };
    let node = node.with(first.node_settings(DATABASE));
    node.set("PG_HOST", hosts.join(","));
    let ip = inside.map_or(Ipv4Addr::LOCALHOST.into(), Namespace::there);
    let member = Member {
        proxy: (ip, node.proxy).into(),
        admin: (ip, node.admin).into(),
        status: (ip, node.status).into(),
        node,
        relays,
    };
    member.node.set("PROXY_LISTEN", member.proxy.to_string());
    member.node.set("ADMIN_LISTEN", member.admin.to_string());
    member.node.set("STATUS_LISTEN", member.status.to_string());
    Ok(member)
}

/// The product's two files, with the addresses of this cluster.
fn nginx(members: &[Member], front: u16, admin: u16) -> anyhow::Result<(String, String)> {
    type Address = fn(&Member) -> SocketAddr;
    let nodes: [(&str, Address); 2] = [
        ("server 127.0.0.1:8000 ", |member| member.proxy),
        ("server 127.0.0.1:8001 ", |member| member.admin),
    ];
    let mut lines = Vec::new();
    for line in NGINX_NODES.lines() {
        // What the file says of its one node holds for each of these.
        match nodes.iter().find(|(default, _)| line.contains(default)) {
            Some((default, address)) => lines.extend(members.iter().map(|member| {
                let server = format!("server {} ", address(member));
                line.replace(default, &server)
            })),
            None => lines.push(line.to_owned()),
        }
    }
    let server = NGINX
        .replace("listen 80 ", &format!("listen 127.0.0.1:{front} "))
        .replace(
            "listen 127.0.0.1:8080;",
            &format!("listen 127.0.0.1:{admin};"),
        );
    Ok((format!("include nodes.conf;\n{server}"), lines.join("\n")))
}

/// A small disk for one folder; it goes when it is dropped.
#[derive(Debug)]
pub struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).context("the folder of a disk")?;
        let options = format!("size={DISK}m,mode=0755");
        let (kind, flags) = (Some("tmpfs"), MsFlags::empty());
        nix::mount::mount(kind, folder, kind, flags, Some(options.as_str()))
            .context("a small disk cannot be mounted")?;
        Ok(Self(folder.to_owned()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Its node has ended before; what is left is the folder.
        let _ = umount(&self.0);
    }
}
