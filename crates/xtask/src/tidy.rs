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

/// Checks layering, licences, module headers, file lengths, the reasons of dependencies, the map of the code, and where
/// documents lead.
pub fn run() -> anyhow::Result<()> {
    say("== tidy");
    layers::check()?;
    licences::check()?;
    let mut wrong = Vec::new();
    for path in tracked("*.rs")? {
        let text = fs::read_to_string(root().join(&path))?;
        check_source(&path, &text, &mut wrong);
    }
    for path in tracked("*.md")? {
        let text = fs::read_to_string(root().join(&path))?;
        check_references(&path, &text, &mut wrong);
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

fn tracked(pattern: &str) -> anyhow::Result<Vec<PathBuf>> {
    let listed = output(
        std::process::Command::new("git")
            .args(["ls-files", pattern])
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

/// Links to files, and sources that are named in passing, are there.
fn check_references(path: &Path, text: &str, wrong: &mut Vec<String>) {
    let folder = path.parent().unwrap_or(Path::new(""));
    let links = text.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', '#']).next()?;
        let is_file = !target.is_empty() && !target.contains("://");
        is_file.then(|| folder.join(target))
    });
    // A name in capitals stands for any.
    let is_source = |word: &&str| word.starts_with("crates/") && word.ends_with(".rs");
    let sources = text.split('`').skip(1).step_by(2).filter(is_source);
    let named = sources.map(PathBuf::from).filter(|source| {
        let stem = source.file_stem().unwrap_or_default().to_string_lossy();
        stem.contains(|letter: char| letter.is_ascii_lowercase())
    });
    for target in links.chain(named) {
        if !root().join(&target).exists() {
            let (shown, target) = (path.display(), target.display());
            wrong.push(format!("{shown}: there is no {target}"));
        }
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
