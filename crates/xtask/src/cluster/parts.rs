//! The files of `deploy/` with the addresses of this machine in them.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use fleet::{Nginx, Node, Prometheus, http};

use crate::deploy::text;

/// The node that the shipped list of nodes has.
const PROXY: &str = "127.0.0.1:8000";
const ADMIN: &str = "127.0.0.1:8001";

/// `deploy/nginx/silverback.conf` on other ports of the loopback address.
pub fn balancer(proxy: u16, admin: u16) -> anyhow::Result<String> {
    let file = "nginx/silverback.conf";
    let mut configuration = text(file)?;
    for (from, to) in [
        ("listen 80 ", format!("listen 127.0.0.1:{proxy} ")),
        (
            "listen 127.0.0.1:8080;",
            format!("listen 127.0.0.1:{admin};"),
        ),
    ] {
        if configuration.matches(from).count() != 1 {
            bail!("{file} has not one line with {from:?}");
        }
        configuration = configuration.replace(from, &to);
    }
    Ok(configuration)
}

/// nginx in front of the nodes.
pub fn nginx(nodes: &[Node], proxy: u16, admin: u16) -> anyhow::Result<Nginx> {
    let mut servers = Vec::new();
    for line in text("nginx/silverback-nodes.conf")?.lines() {
        let (ours, of): (_, fn(&Node) -> SocketAddr) = match line {
            _ if line.contains(PROXY) => (PROXY, Node::proxy_address),
            _ if line.contains(ADMIN) => (ADMIN, Node::admin_address),
            _ => {
                servers.push(line.to_owned());
                continue;
            }
        };
        // The first node has the Admin API as long as it lives.
        let is_first_only = ours == ADMIN && !line.contains(" backup;");
        let nodes = nodes
            .iter()
            .take(if is_first_only { 1 } else { usize::MAX });
        servers.extend(nodes.map(|node| line.replace(ours, &of(node).to_string())));
    }
    let servers = servers.join("\n");
    let files = [
        ("silverback-nodes.conf", servers.as_str()),
        ("silverback.conf", &balancer(proxy, admin)?),
    ];
    let answers = || {
        let status = http::get(([127, 0, 0, 1], admin).into(), "/nginx-status");
        status.is_ok_and(|answer| answer.status == 200)
    };
    let http = "include silverback-nodes.conf;\ninclude silverback.conf;\n";
    Ok(Nginx::start(http, &files, answers)?)
}

/// Prometheus that watches the nodes.
pub fn prometheus(nodes: &[Node]) -> anyhow::Result<Prometheus> {
    let configuration = text("prometheus/prometheus.yml")?;
    let is_target = |line: &&str| line.ends_with(":8007");
    let target = configuration
        .lines()
        .find(is_target)
        .context("prometheus/prometheus.yml without targets")?;
    let indent = target.split('-').next().unwrap_or_default();
    let others = configuration.lines().filter(|line| !is_target(line));
    let mut ours: Vec<String> = others.map(str::to_owned).collect();
    // Targets are the last thing in the file.
    ours.extend(
        nodes
            .iter()
            .map(|node| format!("{indent}- {}", node.status_address())),
    );
    let rules = text("prometheus/silverback.rules.yml")?;
    let configuration = ours.join("\n") + "\n";
    Ok(Prometheus::start(
        &configuration,
        &[("silverback.rules.yml", &rules)],
    )?)
}
