//! The files of `deploy/` with the addresses of this machine in them.

use anyhow::{Context, bail};
use fleet::{Nginx, Node, Prometheus, http};

use crate::deploy::text;

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
    let shipped = text("nginx/silverback-nodes.conf")?;
    let mut servers = shipped.clone();
    let proxies = nodes.iter().map(Node::proxy_address);
    let admins = nodes.iter().map(Node::admin_address);
    let lines = [
        ("127.0.0.1:8000", proxies.collect::<Vec<_>>(), ""),
        // The first node answers as long as it lives.
        ("127.0.0.1:8001", admins.collect(), " backup"),
    ];
    for (address, of_nodes, others) in lines {
        let line = shipped
            .lines()
            .find(|line| line.contains(address))
            .with_context(|| format!("nginx/silverback-nodes.conf lacks {address}"))?;
        let ours: Vec<String> = of_nodes
            .iter()
            .enumerate()
            .map(|(number, ours)| {
                let line = line.replace(address, &ours.to_string());
                let role = if number == 0 { "" } else { others };
                line.replace(';', &format!("{role};"))
            })
            .collect();
        servers = servers.replace(line, &ours.join("\n"));
    }
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
