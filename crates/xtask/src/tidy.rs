//! Rules about the tree that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::steps::{output, root, say};
use crate::{layers, licences};

/// A source longer than this wants a line in [`LONG`] with its reason.
const LONGEST: usize = 600;

/// Sources that may be longer, each with its reason; the list may only shrink.
const LONG: &[(&str, &str)] = &[];

/// Checks layering, licences, module headers, file lengths, the reasons of dependencies and the map of the code.
pub fn run() -> anyhow::Result<()> {
    say("== tidy");
    layers::check()?;
    licences::check()?;
    let mut wrong = Vec::new();
    for path in tracked_sources()? {
        let text = fs::read_to_string(root().join(&path))?;
        check_source(&path, &text, &mut wrong);
    }
    check_dependency_reasons(&fs::read_to_string(root().join("Cargo.toml"))?, &mut wrong);
    check_code_map(
        &fs::read_to_string(root().join("ARCHITECTURE.md"))?,
        &mut wrong,
    )?;
    if !wrong.is_empty() {
        bail!("tidy:\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

fn tracked_sources() -> anyhow::Result<Vec<PathBuf>> {
    let listed = output(
        std::process::Command::new("git")
            .args(["ls-files", "*.rs"])
            .current_dir(root()),
    )?;
    Ok(listed
        .lines()
        .map(PathBuf::from)
        .filter(|path| root().join(path).exists())
        .collect())
}

fn check_source(path: &Path, text: &str, wrong: &mut Vec<String>) {
    let shown = path.display().to_string();
    let is_test =
        shown.contains("/tests/") || shown.ends_with("tests.rs") || shown.contains("_tests");
    if !is_test && !text.trim_start().starts_with("//!") {
        wrong.push(format!(
            "{shown}: a module opens with //! and says what it is"
        ));
    }
    let lines = text.lines().count();
    let has_reason = LONG.iter().any(|(long, _)| *long == shown);
    if !is_test && lines > LONGEST && !has_reason {
        wrong.push(format!(
            "{shown}: {lines} lines; split it, or give the reason in crates/xtask/src/tidy.rs"
        ));
    }
    if has_reason && lines <= LONGEST {
        wrong.push(format!(
            "{shown}: no longer long; take it off the list in crates/xtask/src/tidy.rs"
        ));
    }
    if text.contains(&["#[", "ignore"].concat()) {
        wrong.push(format!("{shown}: an ignored test"));
    }
}

/// Every library in `[workspace.dependencies]` has a comment that says why.
fn check_dependency_reasons(manifest: &str, wrong: &mut Vec<String>) {
    let section = manifest
        .split("[workspace.dependencies]")
        .nth(1)
        .unwrap_or_default();
    for line in section
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with('['))
    {
        let is_library = line.contains(" = ") && !line.contains("path = ");
        if is_library && !line.contains(" # ") {
            wrong.push(format!("Cargo.toml: say why: {line}"));
        }
    }
}

/// Every crate has its row in ARCHITECTURE.md; those of plugins share one.
fn check_code_map(architecture: &str, wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let rows: Vec<&str> = architecture
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.split('|').next())
        .collect();
    for entry in fs::read_dir(root().join("crates"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let shown = if name.starts_with("plugins-") {
            "`plugins-*`".to_owned()
        } else {
            format!("`{name}`")
        };
        if !rows.iter().any(|row| row.contains(&shown)) {
            wrong.push(format!(
                "ARCHITECTURE.md: the map of the code has no row for {name}"
            ));
        }
    }
    Ok(())
}
