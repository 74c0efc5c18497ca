//! What no engine checks: that the files of `deploy/` agree with each other and with the program.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

use super::{files, path, text, yaml};
use crate::steps::{binary, root};

/// Where nodes in containers answer Prometheus.
const STATUS_PORT: &str = ":8007";

/// Compares the files, and reports everything that does not fit.
pub fn check() -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    settings(&mut wrong)?;
    commands(&mut wrong)?;
    compose(&mut wrong)?;
    kubernetes(&mut wrong)?;
    metrics(&mut wrong)?;
    debian(&mut wrong)?;
    if !wrong.is_empty() {
        bail!("deploy/ does not fit together:\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

/// Every setting that a file gives a node is one.
fn settings(wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let known = fs::read_to_string(root().join("docs/settings.md"))?;
    let places = [
        "docker/Dockerfile",
        "docker/compose.yaml",
        "kubernetes/configmap.yaml",
        "kubernetes/secret.example.yaml",
    ];
    for place in places {
        let text = text(place)?;
        for name in words(&text).filter_map(|word| word.strip_prefix("KONG_")) {
            let name = name.to_ascii_lowercase();
            if !known.contains(&format!("| `{name}` |")) {
                wrong.push(format!("{place}: there is no setting {name}"));
            }
        }
    }
    Ok(())
}

/// Words made of the letters that names of settings and metrics have.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    text.split(move |letter| !is_part(letter))
        .map(|word| word.trim_end_matches(':'))
}

/// Every call of the program has arguments that it takes.
fn commands(wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let mut calls = Vec::new();
    for unit in files("systemd", "service")? {
        let text = fs::read_to_string(&unit)?;
        let ours = text
            .lines()
            .filter_map(|line| line.split_once("=/usr/bin/silverback "));
        calls.extend(ours.map(|(_, call)| call.split(' ').map(str::to_owned).collect()));
    }
    let mut documents = yaml("docker/compose.yaml")?;
    for manifest in files("kubernetes", "yaml")? {
        documents.extend(yaml(manifest)?);
    }
    for document in &documents {
        walk(document, &mut |key, value| {
            let Some(list) = value.as_array() else { return };
            let list = list.iter().map(|word| word.as_str().unwrap_or_default());
            let mut list: Vec<String> = list.map(str::to_owned).collect();
            let is_ours = match key {
                "args" => true,
                "command" => list.first().is_some_and(|word| !word.starts_with('/')),
                _ => false,
            };
            if key == "command"
                && list
                    .first()
                    .is_some_and(|word| word == "/usr/bin/silverback")
            {
                calls.push(list.split_off(1));
            } else if is_ours {
                calls.push(list);
            }
        });
    }
    if calls.len() < 8 {
        wrong.push(format!("only {} calls of the program found", calls.len()));
    }
    for call in calls {
        let mut command = Command::new(binary("debug", "silverback"));
        let said = command.args(&call).arg("--help").output()?;
        if !said.status.success() {
            let said = String::from_utf8_lossy(&said.stderr).into_owned();
            wrong.push(format!("silverback {}: {said}", call.join(" ")));
        }
    }
    Ok(())
}

/// Visits every member of every object.
fn walk(value: &Value, visit: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                visit(key, value);
                walk(value, visit);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}

/// nginx and Prometheus know the nodes of the compose file, and every file that is mounted is there.
fn compose(wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let compose = yaml("docker/compose.yaml")?;
    let services = compose
        .first()
        .and_then(|file| file["services"].as_object())
        .context("services")?;
    let nodes: Vec<_> = services
        .iter()
        .filter(|(name, _)| name.starts_with("silverback-"))
        .collect();
    let upstreams = text("docker/silverback-nodes.conf")?;
    let prometheus = text("prometheus/prometheus.yml")?;
    for (name, node) in &nodes {
        let address = node["networks"]["cluster"]["ipv4_address"].as_str();
        let address = address.context("a node without an address")?;
        for port in [8000, 8001] {
            if !upstreams.contains(&format!("server {address}:{port} ")) {
                wrong.push(format!(
                    "docker/silverback-nodes.conf lacks {address}:{port}"
                ));
            }
        }
        if !prometheus.contains(&format!("- {name}{STATUS_PORT}\n")) {
            wrong.push(format!(
                "prometheus/prometheus.yml lacks {name}{STATUS_PORT}"
            ));
        }
    }
    if nodes.len() != 3 || prometheus.matches(STATUS_PORT).count() != nodes.len() {
        wrong.push("docker/compose.yaml and prometheus/prometheus.yml have other nodes".to_owned());
    }
    let volumes = &compose[0]["volumes"];
    for (name, service) in services {
        for mount in service["volumes"].as_array().into_iter().flatten() {
            let source = mount.as_str().unwrap_or_default();
            let source = source.split(':').next().unwrap_or_default();
            let is_there = if source.starts_with('.') {
                path("docker").join(source).exists()
            } else {
                volumes.get(source).is_some()
            };
            if !is_there {
                wrong.push(format!("docker/compose.yaml: {name} mounts {source}"));
            }
        }
    }
    Ok(())
}

/// Services, probes and the budget name what the deployment has.
fn kubernetes(wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let deployment = &yaml("kubernetes/deployment.yaml")?[0];
    let pod = &deployment["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    let ports: BTreeSet<&str> = container["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|port| port["name"].as_str())
        .collect();
    let mut used = Vec::new();
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        used.push((
            probe.to_owned(),
            container[probe]["httpGet"]["port"].clone(),
        ));
    }
    let mut selectors = vec![(
        "the deployment".to_owned(),
        deployment["spec"]["selector"]["matchLabels"].clone(),
    )];
    for service in yaml("kubernetes/services.yaml")? {
        let name = service["metadata"]["name"].to_string();
        selectors.push((name.clone(), service["spec"]["selector"].clone()));
        for port in service["spec"]["ports"].as_array().into_iter().flatten() {
            used.push((name.clone(), port["targetPort"].clone()));
        }
    }
    let budget = &yaml("kubernetes/disruption-budget.yaml")?[0];
    let policy = &yaml("kubernetes/network-policy.yaml")?[0];
    selectors.push((
        "the budget".to_owned(),
        budget["spec"]["selector"]["matchLabels"].clone(),
    ));
    selectors.push((
        "the policy".to_owned(),
        policy["spec"]["podSelector"]["matchLabels"].clone(),
    ));
    for rule in policy["spec"]["ingress"].as_array().into_iter().flatten() {
        for port in rule["ports"].as_array().into_iter().flatten() {
            used.push(("the policy".to_owned(), port["port"].clone()));
        }
    }
    for (name, port) in used {
        if !port.as_str().is_some_and(|port| ports.contains(port)) {
            wrong.push(format!("kubernetes: {name} uses the port {port}"));
        }
    }
    for (name, selector) in selectors {
        if selector != pod["metadata"]["labels"] {
            wrong.push(format!("kubernetes: {name} selects {selector}"));
        }
    }
    let kustomization = &yaml("kubernetes/kustomization.yaml")?[0]["resources"];
    let listed: BTreeSet<String> = kustomization
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let there: BTreeSet<String> = files("kubernetes", "yaml")?
        .iter()
        .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
        .filter(|name| name != "kustomization.yaml" && name != "secret.example.yaml")
        .collect();
    if listed != there {
        wrong.push(format!("kubernetes: the kustomization lists {listed:?}"));
    }
    Ok(())
}

/// Rules and dashboard use metrics that a node has, or that a rule records. That they find data is a system test.
fn metrics(wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let reference = fs::read_to_string(root().join("docs/metrics.md"))?;
    let rules = text("prometheus/silverback.rules.yml")?;
    let of_the_node = reference
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let recorded = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "));
    let known: BTreeSet<&str> = of_the_node
        .chain(recorded)
        .filter_map(|line| line.split(' ').next())
        .collect();
    let dashboard = text("grafana/dashboards/silverback.json")?;
    let dashboard: Value = serde_json::from_str(&dashboard)?;
    let mut used = vec![rules.clone()];
    walk(&dashboard, &mut |key, value| {
        if key == "expr" {
            used.extend(value.as_str().map(str::to_owned));
        }
    });
    let is_metric = |word: &&str| {
        ["kong_", "silverback_", "silverback:", "process_"]
            .iter()
            .any(|start| word.starts_with(start))
    };
    for name in used.iter().flat_map(|text| words(text)).filter(is_metric) {
        let family = name.trim_end_matches("_bucket");
        if !known.contains(family) {
            wrong.push(format!("no node has the metric {name}"));
        }
    }
    let source = &yaml("grafana/provisioning/datasources/prometheus.yaml")?[0]["datasources"][0];
    walk(&dashboard, &mut |key, value| {
        if key == "datasource" && value["uid"] != source["uid"] {
            wrong.push(format!("the dashboard reads from {value}"));
        }
    });
    Ok(())
}

/// Every file that goes into the package is there.
fn debian(wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let metadata = crate::steps::output(crate::steps::cargo().args([
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--offline",
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().context("packages")?;
    let package = packages
        .iter()
        .find(|package| package["name"] == "silverback")
        .context("the program's package")?;
    let assets = package["metadata"]["deb"]["assets"]
        .as_array()
        .context("assets of the Debian package")?;
    for asset in assets {
        let source = asset[0].as_str().unwrap_or_default();
        let is_built = source.starts_with("target/");
        let is_there = root().join("crates/silverback").join(source).exists();
        if !is_built && !is_there {
            wrong.push(format!("the Debian package wants {source}"));
        }
    }
    Ok(())
}
