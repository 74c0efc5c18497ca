//! How exactly rate limits hold: many clients at once against one limit, on one node and on three.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use fleet::http::get;
use fleet::{Durability, Node, Postgres, Redis, Upstream as Origin};
use serde_json::{Value, json};

use crate::bench::Plan;
use crate::bench::gateway::Upstream;
use crate::bench::report::Report;
use crate::steps::say;

const DATABASE: &str = "kong";

/// Requests that pass in a minute.
const LIMIT: u64 = 1000;

/// Clients that ask at the same time, and requests of each: together more than three nodes let through by themselves.
const CLIENTS: u64 = 64;
const REQUESTS: u64 = 75;

/// The part of a minute in which a case may begin, so that it ends in the same minute.
const LATEST_START: u64 = 25;

/// What is measured: a name, and the configuration besides the limit.
fn policies(redis: &Redis) -> Vec<(&'static str, Value)> {
    let redis = json!({ "host": "127.0.0.1", "port": redis.port() });
    let synced = |rate: f64| json!({ "policy": "redis", "redis": redis, "sync_rate": rate });
    vec![
        ("local", json!({ "policy": "local" })),
        ("cluster", json!({ "policy": "cluster" })),
        ("redis", json!({ "policy": "redis", "redis": redis })),
        ("redis, sync_rate 0.1", synced(0.1)),
        ("redis, sync_rate 1", synced(1.0)),
    ]
}

/// Measures on real processes.
pub fn measure(plan: &Plan, _: &Upstream, _: &Path, report: &mut Report) -> anyhow::Result<()> {
    let postgres = Postgres::start(Durability::Durable)?;
    postgres.create_database(DATABASE)?;
    let redis = Redis::start()?;
    let origin = Origin::start("origin")?;
    let node = || Ok(Node::new(&plan.silverback)?.with(postgres.node_settings(DATABASE)));
    let nodes = (0..3).map(|_| node()).collect::<fleet::Result<Vec<_>>>()?;
    let first = nodes.first().context("there are nodes")?;
    first.call(&["migrations", "bootstrap"])?;
    for node in &nodes {
        node.start()?;
    }
    let proxies: Vec<_> = nodes.iter().map(Node::proxy_address).collect();
    for (name, config) in policies(&redis) {
        for count in [1, proxies.len()] {
            say(&format!("== {name}, nodes: {count}"));
            let path = format!("/{}-{count}", name.replace([' ', ',', '.'], ""));
            configure(first, &origin, &path, &config)?;
            for proxy in &proxies {
                wait_for_route(*proxy, &path)?;
            }
            let (passed, refused) = ask(&proxies[..count], &path)?;
            report.accuracy(name, count, passed, refused, LIMIT);
        }
    }
    Ok(())
}

/// A route whose limit counts only requests that say so: others, such as those that look whether it is there, have a
/// counter of their own.
fn configure(node: &Node, origin: &Origin, path: &str, config: &Value) -> anyhow::Result<()> {
    let mut config = config.clone();
    config["minute"] = json!(LIMIT);
    config["limit_by"] = json!("path");
    config["path"] = json!(format!("{path}/counted"));
    let name = path.trim_start_matches('/');
    let service = json!({ "url": origin.url() });
    write(node, "PUT", &format!("/services/{name}"), &service)?;
    let route = json!({ "paths": [path] });
    write(
        node,
        "PUT",
        &format!("/services/{name}/routes/{name}"),
        &route,
    )?;
    let plugin = json!({ "name": "rate-limiting", "config": config });
    write(
        node,
        "POST",
        &format!("/services/{name}/plugins?wait=cluster"),
        &plugin,
    )
}

fn write(node: &Node, method: &str, path: &str, body: &Value) -> anyhow::Result<()> {
    let answer = fleet::http::send_json(node.admin_address(), method, path, &body.to_string())?;
    match answer.status {
        200..=299 => Ok(()),
        status => bail!("{method} {path}: {status} {}", answer.text()),
    }
}

/// Waits until a node limits requests of a path.
fn wait_for_route(proxy: SocketAddr, path: &str) -> anyhow::Result<()> {
    fleet::until("the route is limited", || {
        get(proxy, path).is_ok_and(|answer| answer.header("ratelimit-limit").is_some())
    })?;
    Ok(())
}

/// Asks as fast as the clients can, within one minute of the clock; how many requests passed, and how many did not.
fn ask(proxies: &[SocketAddr], path: &str) -> anyhow::Result<(u64, u64)> {
    let began = loop {
        let (minute, second) = now()?;
        if second <= LATEST_START {
            break minute;
        }
        thread::park_timeout(Duration::from_millis(100));
    };
    let (passed, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let path = format!("{path}/counted");
    thread::scope(|scope| {
        let clients: Vec<_> = proxies
            .iter()
            .cycle()
            .take(usize::try_from(CLIENTS)?)
            .map(|proxy| {
                let (passed, refused, path) = (&passed, &refused, &path);
                scope.spawn(move || {
                    for _ in 0..REQUESTS {
                        let count = match get(*proxy, path)?.status {
                            200 => passed,
                            429 => refused,
                            status => bail!("a request was answered with {status}"),
                        };
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| {
            let ended = client.join();
            ended.unwrap_or_else(|_| bail!("a client has panicked"))
        })
    })?;
    if now()?.0 != began {
        bail!("the machine was too slow: the minute was over before the clients were");
    }
    Ok((passed.into_inner(), refused.into_inner()))
}

/// The minute since the Unix epoch, and the second in it.
#[expect(
    clippy::disallowed_methods,
    reason = "windows begin and end by the clock of the machine"
)]
fn now() -> anyhow::Result<(u64, u64)> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok((since.as_secs() / 60, since.as_secs() % 60))
}
