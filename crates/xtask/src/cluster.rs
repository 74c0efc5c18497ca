//! A whole cluster on this machine: PostgreSQL, nodes, nginx in front, Prometheus, and an upstream to route to.
//!
//! nginx, Prometheus and its rules run with the files of `deploy/`; only addresses are put in.

mod parts;

use std::io::BufRead as _;
use std::path::Path;
use std::sync::mpsc;

use anyhow::{Context, bail};
use fleet::http::send_json;
use fleet::{
    Durability, Nginx, Node, Postgres, Prometheus, Stop, Upstream, free_ports, http, until,
};
use nix::sys::signal::{SigSet, Signal};
use serde_json::json;

use crate::packages;
use crate::steps::{binary, cargo, run as run_command, say};

pub use parts::balancer;

const DATABASE: &str = "kong";

/// What a person can type while the cluster runs.
const HELP: &str = "\
type   kill N | stop N | start N | pause N | resume N     a node, from 1
       kill db | stop db | start db | pause db | resume db
       status | help | quit (or ctrl-c)";

/// Starts the cluster, and ends it at ctrl-c.
pub fn run(args: &[String]) -> anyhow::Result<()> {
    let (mut nodes, mut release, mut program) = (3, false, None);
    let mut left = args.iter();
    while let Some(arg) = left.next() {
        match arg.as_str() {
            "--release" => release = true,
            "--nodes" => nodes = left.next().context("--nodes wants a number")?.parse()?,
            "--binary" => program = Some(left.next().context("--binary wants a file")?.into()),
            other => bail!("cluster takes --nodes N, --release and --binary FILE, not {other:?}"),
        }
    }
    packages::install_missing()?;
    let program = match program {
        Some(program) => program,
        None => build(release)?,
    };
    // Before any thread starts: they all leave these signals to the one that waits for them.
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .collect();
    signals.thread_block()?;
    let cluster = Cluster::start(&program, nodes)?;
    say(&cluster.description());
    say(HELP);
    let (words, spoken) = mpsc::sync_channel(1);
    let ended = words.clone();
    std::thread::spawn(move || {
        // Nobody listens any more once the cluster ends by itself.
        let _ = signals.wait().map(|_| ended.send("quit".to_owned()));
    });
    std::thread::spawn(move || read_words(&words));
    for line in spoken {
        match cluster.obey(&line) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => say(&format!("{error:#}")),
        }
    }
    say("ending everything");
    Ok(())
}

/// Starts the cluster with the debug build, and sees requests answered through nginx while nodes come and go.
pub fn check() -> anyhow::Result<()> {
    say("== cluster");
    let cluster = Cluster::start(&binary("debug", "silverback"), 3)?;
    let proxy = ([127, 0, 0, 1], cluster.proxy).into();
    for node in &cluster.nodes {
        until("all nodes have the route", || {
            let answer = http::get(node.proxy_address(), "/example");
            answer.is_ok_and(|answer| answer.status == 200)
        })?;
    }
    for node in &cluster.nodes {
        node.kill()?;
        for number in 0..50 {
            let answer = http::get(proxy, "/example")?;
            if answer.status != 200 {
                bail!(
                    "request {number} after a node was killed: {}",
                    answer.status
                );
            }
        }
        node.start()?;
        until("nginx uses the node again", || {
            let answer = http::get(proxy, "/example");
            answer.is_ok() && requests(node) > Some(0)
        })?;
    }
    let admin = ([127, 0, 0, 1], cluster.admin).into();
    let answer = http::get(admin, "/services/example")?;
    if answer.status != 200 {
        bail!("the Admin API through nginx: {}", answer.status);
    }
    let watched = "/api/v1/query?query=sum(up)%20==%203";
    Ok(until("Prometheus sees three nodes", || {
        let answer = http::get(cluster.prometheus.address(), watched);
        answer.is_ok_and(|answer| answer.text().contains("\"value\""))
    })?)
}

/// How many requests a node has answered since it started.
fn requests(node: &Node) -> Option<u64> {
    let page = http::get(node.status_address(), "/metrics").ok()?.text();
    let mut lines = page.lines();
    let line = lines.find(|line| line.starts_with("kong_nginx_requests_total{"))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn build(release: bool) -> anyhow::Result<std::path::PathBuf> {
    let mut build = cargo();
    build.args(["build", "--quiet"]);
    if release {
        build.arg("--release");
    }
    run_command("build", &mut build)?;
    let profile = if release { "release" } else { "debug" };
    Ok(binary(profile, "silverback"))
}

/// Passes on what is typed. Input that ends, such as that of a job in the background, leaves the cluster running.
fn read_words(to: &mpsc::SyncSender<String>) {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        if to.send(line).is_err() {
            return;
        }
    }
}

/// Everything that runs. Fields are ended in this order.
struct Cluster {
    prometheus: Prometheus,
    nginx: Nginx,
    proxy: u16,
    admin: u16,
    nodes: Vec<Node>,
    postgres: Postgres,
    upstream: Upstream,
}

impl Cluster {
    fn start(program: &Path, count: usize) -> anyhow::Result<Self> {
        say("== PostgreSQL");
        let postgres = Postgres::start(Durability::Durable)?;
        postgres.create_database(DATABASE)?;
        let nodes = (0..count)
            .map(|_| Node::new(program))
            .collect::<fleet::Result<Vec<_>>>()?;
        for node in &nodes {
            for (name, value) in postgres.node_settings(DATABASE) {
                node.set(name, value);
            }
            node.set("TRUSTED_IPS", "127.0.0.1");
            node.set("REAL_IP_HEADER", "X-Forwarded-For");
        }
        let first = nodes.first().context("a cluster has a node at least")?;
        say("== migrations");
        first.call(&["migrations", "bootstrap"])?;
        say(&format!("== {count} nodes"));
        for node in &nodes {
            node.start()?;
        }
        let upstream = Upstream::start("example")?;
        add_example(first, &upstream)?;
        say("== nginx and Prometheus");
        let [proxy, admin] = free_ports()?;
        let nginx = parts::nginx(&nodes, proxy, admin)?;
        let prometheus = parts::prometheus(&nodes)?;
        Ok(Self {
            prometheus,
            nginx,
            proxy,
            admin,
            nodes,
            postgres,
            upstream,
        })
    }

    /// Where everything is.
    fn description(&self) -> String {
        let mut lines = vec![
            String::new(),
            format!("proxy, through nginx   http://127.0.0.1:{}", self.proxy),
            format!("Admin API, likewise    http://127.0.0.1:{}", self.admin),
            format!(
                "Prometheus             http://{}",
                self.prometheus.address()
            ),
            format!("upstream               {}", self.upstream.url()),
            format!(
                "PostgreSQL             psql -h {} -p {} -U {} {DATABASE}",
                self.postgres.socket_folder().display(),
                self.postgres.port(),
                Postgres::ROLE
            ),
            format!(
                "configurations         {}",
                self.nginx.folder().path().display()
            ),
        ];
        for (number, node) in self.nodes.iter().enumerate() {
            lines.push(format!(
                "node {}                 proxy {}  admin {}  status {}  log {}",
                number + 1,
                node.proxy_address(),
                node.admin_address(),
                node.status_address(),
                node.log_path().display()
            ));
        }
        lines.extend([
            String::new(),
            format!("try    curl -i http://127.0.0.1:{}/example", self.proxy),
            format!("       curl -s http://127.0.0.1:{}/cluster", self.admin),
            String::new(),
        ]);
        lines.join("\n")
    }

    /// Does what a person asks for; whether the cluster goes on.
    fn obey(&self, line: &str) -> anyhow::Result<bool> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] => {}
            ["quit" | "exit"] => return Ok(false),
            ["help"] => say(HELP),
            ["status"] => self.tell(),
            [verb, "db"] => {
                match verb {
                    "kill" => self.postgres.stop(Stop::Immediate)?,
                    "stop" => self.postgres.stop(Stop::Fast)?,
                    "start" => self.postgres.resume()?,
                    "pause" => self.postgres.pause()?,
                    "resume" => self.postgres.unpause()?,
                    _ => bail!("{HELP}"),
                }
                say("done");
            }
            [verb, number] => {
                let index = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
                let node = index
                    .and_then(|index| self.nodes.get(index))
                    .context(HELP)?;
                match verb {
                    "kill" => node.kill().map(drop)?,
                    "stop" => node.stop().map(drop)?,
                    "start" => node.start()?,
                    "pause" => node.pause()?,
                    "resume" => node.unpause()?,
                    _ => bail!("{HELP}"),
                }
                say("done");
            }
            _ => bail!("{HELP}"),
        }
        Ok(true)
    }

    /// Which nodes are there and what they say of themselves.
    fn tell(&self) {
        for (number, node) in self.nodes.iter().enumerate() {
            let number = number + 1;
            let Some(pid) = node.pid().filter(|_| node.is_running()) else {
                say(&format!("node {number} does not run"));
                continue;
            };
            let ready = http::get(node.status_address(), "/status/ready");
            let ready = ready.map_or_else(|error| error.to_string(), |answer| answer.text());
            say(&format!("node {number} runs as process {pid}: {ready}"));
        }
        say(&format!(
            "the upstream has had {} requests",
            self.upstream.requests()
        ));
    }
}

/// A route `/example` to the upstream.
fn add_example(node: &Node, upstream: &Upstream) -> anyhow::Result<()> {
    let service = json!({ "name": "example", "url": upstream.url() });
    let route = json!({ "name": "example", "paths": ["/example"] });
    for (path, entity) in [("/services", service), ("/services/example/routes", route)] {
        let answer = send_json(node.admin_address(), "POST", path, &entity.to_string())?;
        if answer.status != 201 {
            bail!("POST {path}: {} {}", answer.status, answer.text());
        }
    }
    Ok(())
}
