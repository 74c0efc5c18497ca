//! Which licences the libraries may have.

use anyhow::{Context, bail};
use serde_json::Value;

use crate::steps::{cargo, output};

const ACCEPTED: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unlicense",
    "CC0-1.0",
    "Unicode-3.0",
    "OpenSSL",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "MPL-2.0",
    "MPL-2.0+",
    "MIT-0",
];

/// Fails on a library none of whose offered licences is accepted.
pub fn check() -> anyhow::Result<()> {
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !is_accepted(package["license"].as_str().unwrap_or_default()))
        .map(|package| {
            format!(
                "{} {}: {}",
                package["name"], package["version"], package["license"]
            )
        })
        .collect();
    if !refused.is_empty() {
        bail!(
            "licences that are not accepted:\n  {}",
            refused.join("\n  ")
        );
    }
    Ok(())
}

/// An SPDX expression is met when every `AND` part has an accepted `OR` choice.
fn is_accepted(expression: &str) -> bool {
    let expression = expression.replace(['(', ')'], " ").replace('/', " OR ");
    let accepted = |choice: &str| ACCEPTED.contains(&choice.trim());
    expression
        .split(" AND ")
        .all(|part| part.split(" OR ").any(accepted))
        || expression.split(" OR ").any(accepted)
}
