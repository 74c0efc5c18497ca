//! Documents that are generated from declarations: written by `gen`, and checked to be current by `test`.

use std::fs;
use std::process::Command;

use anyhow::{Context, bail};

use crate::steps::{binary, cargo, output, root, run, say};

/// A file and the words that make the binary print it.
const DOCUMENTS: [(&str, &[&str]); 4] = [
    ("docs/metrics.md", &["reference", "metrics"]),
    ("docs/plugins.md", &["reference", "plugins"]),
    ("docs/settings.md", &["reference", "settings"]),
    ("docs/openapi.json", &["reference", "openapi"]),
];

/// Writes every document anew.
pub fn write() -> anyhow::Result<()> {
    run("build", cargo().args(["build", "--quiet"]))?;
    for (path, words) in DOCUMENTS {
        let path = root().join(path);
        fs::write(&path, generate(words)?).with_context(|| path.display().to_string())?;
        say(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// Fails if a document differs from what would be written.
pub fn check() -> anyhow::Result<()> {
    say("== documents");
    for (path, words) in DOCUMENTS {
        let there = fs::read_to_string(root().join(path)).unwrap_or_default();
        if there != generate(words)? {
            bail!("{path} is not current: run `cargo xtask gen` and commit it");
        }
    }
    Ok(())
}

fn generate(words: &[&str]) -> anyhow::Result<String> {
    output(Command::new(binary("debug", "silverback")).args(words))
}
