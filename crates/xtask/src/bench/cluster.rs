//! The cluster: how fast a change reaches the other nodes, whether many at once converge, and what fifty nodes cost
//! their database.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use fleet::http::{get, send_json};
use fleet::{Durability, Node, Postgres, Upstream as Origin, until};
use serde_json::json;

use crate::bench::Plan;
use crate::bench::gateway::Upstream;
use crate::bench::report::Report;
use crate::steps::{output, say};

const DATABASE: &str = "kong";

/// Changes that are made one after the other, and those that come at once.
const CHANGES: usize = 1000;
const BURST: usize = 10_000;

/// How often the other nodes are asked whether they have a change; figures are not finer than that.
const ASKING: Duration = Duration::from_millis(1);

/// Enough for many nodes that start.
const MAX_CONNECTIONS: &str = "200";

/// The nodes that only follow.
const FOLLOWERS: usize = 50;

/// How long idle nodes are left alone: they compare their copies with the database soon after the start and then ever more
/// rarely, and keep a connection that they do not need for a minute.
const SETTLING: Duration = Duration::from_secs(120);

/// How long the database of idle nodes is watched.
const WATCHING: Duration = Duration::from_secs(30);

/// Measures on real processes; with `--quick` a tenth of everything.
pub fn measure(
    plan: &Plan,
    _: &Upstream,
    folder: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let part = if plan.quick { 10 } else { 1 };
    let cluster = Cluster::start(&plan.silverback, 3)?;
    propagation(&cluster, CHANGES / part, report)?;
    burst(&cluster, BURST / part, folder, report)?;
    drop(cluster);
    load(&plan.silverback, FOLLOWERS / part, report)
}

/// Nodes on one database.
struct Cluster {
    nodes: Vec<Node>,
    postgres: Postgres,
    origin: Origin,
}

impl Cluster {
    fn start(program: &Path, count: usize) -> anyhow::Result<Self> {
        let postgres = Postgres::create(Durability::Durable)?;
        postgres.set("max_connections", MAX_CONNECTIONS)?;
        postgres.resume()?;
        postgres.create_database(DATABASE)?;
        let node = || Ok(Node::new(program)?.with(postgres.node_settings(DATABASE)));
        let nodes = (0..count)
            .map(|_| node())
            .collect::<fleet::Result<Vec<_>>>()?;
        let first = nodes.first().context("a cluster has a node at least")?;
        first.call(&["migrations", "bootstrap"])?;
        for node in &nodes {
            node.start()?;
        }
        let origin = Origin::start("origin")?;
        let service = json!({ "name": "origin", "url": origin.url() });
        write(first, "PUT", "/services/origin", &service.to_string())?;
        Ok(Self {
            nodes,
            postgres,
            origin,
        })
    }

    /// What all nodes have used so far.
    fn cpu_time(&self) -> anyhow::Result<Duration> {
        let mut ticks = 0;
        for node in &self.nodes {
            let pid = node.pid().context("a node does not run")?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
            let (_, fields) = stat.rsplit_once(") ").context("a process has no name")?;
            let times = fields.split(' ').skip(11).take(2);
            ticks += times
                .filter_map(|time| time.parse::<u64>().ok())
                .sum::<u64>();
        }
        Ok(Duration::from_millis(ticks * 10))
    }

    fn first(&self) -> anyhow::Result<&Node> {
        self.nodes.first().context("a cluster has a node at least")
    }
}

fn write(node: &Node, method: &str, path: &str, body: &str) -> anyhow::Result<()> {
    let answer = send_json(node.admin_address(), method, path, body)?;
    match answer.status {
        200..=299 => Ok(()),
        status => bail!("{method} {path}: {status} {}", answer.text()),
    }
}

/// Waits until a node routes a path, and tells when it did.
fn routed(proxy: SocketAddr, path: &str) -> anyhow::Result<Instant> {
    let began = Instant::now();
    while began.elapsed() < fleet::PATIENCE {
        if get(proxy, path)?.status == 200 {
            return Ok(Instant::now());
        }
        rest(ASKING);
    }
    bail!("a change is lost: {path} is not routed by {proxy}")
}

/// Changes a route on the first node, again and again, and sees when the others route by it.
fn propagation(cluster: &Cluster, changes: usize, report: &mut Report) -> anyhow::Result<()> {
    say(&format!("== {changes} changes, one after the other"));
    let first = cluster.first()?;
    let mut watchers = Vec::new();
    for node in cluster.nodes.iter().skip(1) {
        let (ask, asked) = mpsc::sync_channel::<String>(1);
        let (tell, told) = mpsc::sync_channel(1);
        let proxy = node.proxy_address();
        thread::spawn(move || {
            for path in asked {
                if tell.send(routed(proxy, &path)).is_err() {
                    return;
                }
            }
        });
        watchers.push((ask, told));
    }
    let mut delays = Vec::new();
    for number in 0..changes {
        let path = format!("/change-{number}");
        for (ask, _) in &watchers {
            ask.send(path.clone())?;
        }
        let route = json!({ "service": { "name": "origin" }, "paths": [path] });
        write(first, "PUT", "/routes/changing", &route.to_string())?;
        let answered = Instant::now();
        for (_, told) in &watchers {
            let seen = told.recv()??;
            delays.push(seen.saturating_duration_since(answered));
        }
    }
    delays.sort_unstable();
    let at = |of_hundred: usize| delays[(delays.len() * of_hundred / 100).min(delays.len() - 1)];
    let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let (half, most, worst) = (at(50), at(99), at(100));
    let title =
        format!("From the answer of one node to the effect on two others, {changes} changes");
    report.cluster(
        &title,
        &format!(
            "p50 {}, p99 {}, longest {}, none lost",
            millis(half),
            millis(most),
            millis(worst)
        ),
        "p50 20 ms, p99 100 ms",
        half <= Duration::from_millis(20) && most <= Duration::from_millis(100),
    );
    Ok(())
}

/// Writes on all nodes at once, and sees the copies of all nodes become the same.
fn burst(
    cluster: &Cluster,
    changes: usize,
    folder: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    say(&format!("== {changes} changes on three nodes at once"));
    let each = changes / cluster.nodes.len();
    let began = Instant::now();
    thread::scope(|scope| {
        let write_all = |node| {
            move || {
                // Every record is written by all nodes, in different orders.
                (0..each).try_for_each(|number| {
                    let name = format!("shared-{}", number * 7 % 997);
                    let service = json!({ "host": "localhost", "retries": number % 100 });
                    write(
                        node,
                        "PUT",
                        &format!("/services/{name}"),
                        &service.to_string(),
                    )
                })
            }
        };
        let writers: Vec<_> = cluster
            .nodes
            .iter()
            .map(|node| scope.spawn(write_all(node)))
            .collect();
        writers.into_iter().try_for_each(|writer| {
            let ended = writer.join();
            ended.unwrap_or_else(|_| bail!("a writer has panicked"))
        })
    })?;
    let written = Instant::now();
    let newest = "SELECT max(version) FROM silverback_changes";
    let newest = cluster.postgres.query(DATABASE, newest)?;
    let newest = newest.trim().to_owned();
    let mut copies = Vec::new();
    until("the copies of all nodes are at the newest version", || {
        let read = cluster.nodes.iter().map(|node| copy_of(node, folder));
        copies = read.collect::<anyhow::Result<Vec<_>>>().unwrap_or_default();
        !copies.is_empty()
            && copies
                .iter()
                .all(|copy| copy.starts_with(&format!("{newest} ")))
    })?;
    let converged = written.elapsed();
    let first = copies.first().context("there are nodes")?;
    if copies.iter().any(|copy| copy != first) {
        bail!("the copies differ:\n{}", copies.join("\n"));
    }
    let seconds = written.duration_since(began).as_secs_f64();
    let title = format!(
        "{} changes from three nodes at once",
        each * cluster.nodes.len()
    );
    report.cluster(
        &title,
        &format!(
            "written in {seconds:.1} s, equal checksums on all nodes {:.2} s later",
            converged.as_secs_f64()
        ),
        "they converge",
        true,
    );
    Ok(())
}

/// The version of a node's copy and the checksums of its collections.
fn copy_of(node: &Node, folder: &Path) -> anyhow::Result<String> {
    const READ: &str = "\
import sqlite3, sys
file = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True)
version = file.execute('SELECT version FROM replica').fetchone()[0]
print(version, file.execute('SELECT * FROM replica_collections ORDER BY entity').fetchall())
";
    let script = folder.join("copy.py");
    std::fs::write(&script, READ)?;
    let copy = node.prefix().join("replica.db");
    output(Command::new("python3").arg(&script).arg(&copy))
}

/// Nodes that follow, and one that writes: how many connections they keep, and how busy the database is.
fn load(program: &Path, count: usize, report: &mut Report) -> anyhow::Result<()> {
    say(&format!("== {count} nodes on one database"));
    let cluster = Cluster::start(program, count)?;
    rest(SETTLING);
    let mut counted = vec![connections(&cluster.postgres)?];
    let before = (cpu_time(&cluster.postgres)?, cluster.cpu_time()?);
    rest(WATCHING);
    let idle = cpu_time(&cluster.postgres)?.saturating_sub(before.0);
    let nodes = cluster.cpu_time()?.saturating_sub(before.1);
    counted.push(connections(&cluster.postgres)?);
    let (least, most) = (counted.iter().min(), counted.iter().max());
    let (least, most) = least.zip(most).context("connections were counted")?;
    let share = |time: Duration| 100.0 * time.as_secs_f64() / WATCHING.as_secs_f64();
    report.cluster(
        &format!("{count} idle nodes on one PostgreSQL"),
        &format!(
            "{least} to {most} connections, {:.1} % of a core; the nodes together {:.1} %",
            share(idle),
            share(nodes)
        ),
        "a connection for each",
        *most <= count,
    );

    let first = cluster.first()?;
    let changes = 200;
    let before = (cpu_time(&cluster.postgres)?, cluster.cpu_time()?);
    for number in 0..changes {
        let route = json!({ "service": { "name": "origin" }, "paths": [format!("/{number}")] });
        write(first, "PUT", "/routes/changing", &route.to_string())?;
    }
    let last = format!("/{}", changes - 1);
    for node in &cluster.nodes {
        routed(node.proxy_address(), &last)?;
    }
    let busy = cpu_time(&cluster.postgres)?.saturating_sub(before.0);
    let nodes = cluster.cpu_time()?.saturating_sub(before.1);
    let requests = cluster.origin.requests();
    if requests < count as u64 {
        bail!("{requests} requests reached the origin through {count} nodes");
    }
    report.cluster(
        &format!("CPU time of PostgreSQL for one change that {count} nodes follow"),
        &format!(
            "{:.1} ms; of each node {:.1} ms",
            busy.as_secs_f64() * 1e3 / f64::from(changes),
            nodes.as_secs_f64() * 1e3 / f64::from(changes) / count as f64
        ),
        "–",
        true,
    );
    Ok(())
}

/// How many connections the nodes have.
fn connections(postgres: &Postgres) -> anyhow::Result<usize> {
    let count = "SELECT count(*) FROM pg_stat_activity \
                 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    Ok(postgres.query(DATABASE, count)?.trim().parse()?)
}

/// What the server and all its processes have used so far, those that have ended included.
fn cpu_time(postgres: &Postgres) -> anyhow::Result<Duration> {
    let server = postgres.pid().context("the server does not run")?;
    let mut ticks = 0;
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let pid = entry.file_name().to_string_lossy().parse::<u32>();
        // Processes come and go meanwhile.
        let (Ok(pid), Ok(stat)) = (pid, std::fs::read_to_string(entry.path().join("stat"))) else {
            continue;
        };
        // The name may hold anything; what counts comes after its closing parenthesis.
        let Some((_, fields)) = stat.rsplit_once(") ") else {
            continue;
        };
        let fields: Vec<&str> = fields.split(' ').collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
        let (parent, own) = (number(1), number(11).zip(number(12)));
        let (Some(parent), Some((user, system))) = (parent, own) else {
            continue;
        };
        if pid == server {
            let ended = number(13).zip(number(14)).unwrap_or_default();
            ticks += user + system + ended.0 + ended.1;
        } else if parent == u64::from(server) {
            ticks += user + system;
        }
    }
    Ok(Duration::from_millis(ticks * 10))
}

/// Leaves the machine to what is measured.
fn rest(time: Duration) {
    let ends = Instant::now() + time;
    while let Some(left) = ends.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}
