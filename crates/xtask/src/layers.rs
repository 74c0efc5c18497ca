//! Which crate may use which: the table, and the check that no edge crosses it.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::steps::{cargo, output};

/// Every crate with the crates of ours that it may use. A new edge is added here and explained in ARCHITECTURE.md.
const ALLOWED: &[(&str, &[&str])] = &[
    // Base.
    ("stdx", &[]),
    ("schema", &["stdx"]),
    ("metrics", &[]),
    // Domain: no IO, no clock.
    ("entities", &["stdx", "schema"]),
    ("router", &["stdx"]),
    ("balancer", &["stdx"]),
    ("http1", &["stdx"]),
    // Contracts.
    ("store", &["stdx", "schema", "entities"]),
    (
        "plugin-api",
        &["stdx", "schema", "entities", "http1", "router", "metrics"],
    ),
    // Siblings that never import each other.
    ("store-sqlite", &["stdx", "schema", "entities", "store"]),
    ("store-postgres", &["stdx", "schema", "entities", "store"]),
    (
        "store-declarative",
        &["stdx", "schema", "entities", "store"],
    ),
    // Lua code in configuration, for whichever plugin has some.
    ("lua", &["stdx", "schema", "plugin-api"]),
    // Amazon Web Services, for whichever plugin asks them.
    ("aws", &["stdx", "plugin-api"]),
    // Families of plugins, which never import each other.
    (
        "plugins-auth",
        &["stdx", "schema", "entities", "plugin-api", "http1"],
    ),
    (
        "plugins-traffic",
        &["stdx", "schema", "entities", "plugin-api", "http1"],
    ),
    (
        "plugins-transform",
        &["stdx", "schema", "entities", "plugin-api", "lua"],
    ),
    (
        "plugins-observe",
        &["stdx", "schema", "entities", "plugin-api", "lua"],
    ),
    (
        "plugins-serverless",
        &["stdx", "schema", "entities", "plugin-api", "lua", "aws"],
    ),
    (
        "plugins-ai",
        &["stdx", "schema", "entities", "plugin-api", "aws"],
    ),
    // Runtime.
    ("cluster", &["stdx", "schema", "entities", "store"]),
    ("health", &["stdx", "balancer", "net"]),
    ("records", &["stdx", "schema", "store", "plugin-api"]),
    ("services", &["stdx", "net", "plugin-api"]),
    (
        "backup",
        &["stdx", "schema", "entities", "store", "declarative"],
    ),
    ("net", &["stdx"]),
    ("observe", &["stdx"]),
    ("config", &["stdx"]),
    ("declarative", &["stdx", "schema", "entities", "store"]),
    (
        "snapshot",
        &[
            "stdx",
            "schema",
            "entities",
            "store",
            "router",
            "balancer",
            "net",
            "plugin-api",
        ],
    ),
    (
        "proxy",
        &[
            "stdx",
            "http1",
            "router",
            "balancer",
            "health",
            "snapshot",
            "net",
            "observe",
            "plugin-api",
        ],
    ),
    (
        "admin",
        &[
            "stdx",
            "schema",
            "entities",
            "store",
            "declarative",
            "config",
            "observe",
        ],
    ),
    // Assembly.
    (
        "plugins",
        &[
            "stdx",
            "schema",
            "entities",
            "plugin-api",
            "plugins-auth",
            "plugins-traffic",
            "plugins-transform",
            "plugins-observe",
            "plugins-serverless",
            "plugins-ai",
        ],
    ),
    (
        "node",
        &[
            "stdx",
            "schema",
            "entities",
            "store",
            "store-sqlite",
            "store-declarative",
            "store-postgres",
            "cluster",
            "balancer",
            "health",
            "plugins",
            "plugin-api",
            "records",
            "services",
            "declarative",
            "config",
            "router",
            "snapshot",
            "net",
            "proxy",
            "admin",
            "observe",
            "metrics",
        ],
    ),
    (
        "silverback",
        &[
            "stdx",
            "config",
            "node",
            "store",
            "declarative",
            "backup",
            "admin",
            "observe",
        ],
    ),
    // Tools.
    ("fleet", &[]),
    ("drill", &["fleet"]),
    ("fuzzing", &["*"]),
    ("testing", &["*"]),
    ("xtask", &["fleet"]),
];

/// Fails on an edge that the table does not list. Development dependencies are free.
pub fn check() -> anyhow::Result<()> {
    let metadata = output(cargo().args([
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--offline",
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let names: Vec<&str> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(may_use) = allowed.get(name) else {
            wrong.push(format!("{name} is not in the table"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            let counts = dependency["kind"].is_null() && names.contains(&used);
            if counts && !may_use.contains(&used) && may_use != &["*"] {
                wrong.push(format!("{name} may not use {used}"));
            }
        }
    }
    if !wrong.is_empty() {
        bail!(
            "layering (crates/xtask/src/layers.rs):\n  {}",
            wrong.join("\n  ")
        );
    }
    Ok(())
}
