//! Checks of `deploy/`. What an engine of this machine can judge is judged by that engine; what no engine says, the
//! files are compared for: that they agree with each other, with the settings and with the metrics of a node.
//!
//! No container is built or run here; deploy/README.md says which files are only read.

mod engines;
mod sense;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::steps::{root, say};

/// Checks every file.
pub fn check() -> anyhow::Result<()> {
    say("== deploy");
    engines::check()?;
    sense::check()
}

/// Where a file of `deploy/` is.
fn path(name: impl AsRef<Path>) -> PathBuf {
    root().join("deploy").join(name)
}

/// The text of a file of `deploy/`.
pub fn text(name: impl AsRef<Path>) -> anyhow::Result<String> {
    let path = path(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The documents of a YAML file of `deploy/`.
fn yaml(name: impl AsRef<Path>) -> anyhow::Result<Vec<Value>> {
    use serde::Deserialize as _;
    let name = name.as_ref();
    serde_yaml_ng::Deserializer::from_str(&text(name)?)
        .map(|document| {
            let mut value = serde_yaml_ng::Value::deserialize(document)?;
            value.apply_merge()?;
            Ok(serde_json::to_value(value)?)
        })
        .collect::<anyhow::Result<_>>()
        .with_context(|| name.display().to_string())
}

/// The files of a folder of `deploy/` whose names end in `.EXTENSION`, by name.
fn files(folder: &str, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path(folder)).with_context(|| folder.to_owned())? {
        let path = entry?.path();
        if path.extension().is_some_and(|its| its == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
