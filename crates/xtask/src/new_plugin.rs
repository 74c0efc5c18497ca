//! `cargo xtask new-plugin NAME`: the folder of a plugin that compiles, with a test that passes, and its two lines.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use crate::steps::{root, say};

const FAMILIES: [&str; 6] = [
    "auth",
    "traffic",
    "transform",
    "observe",
    "serverless",
    "ai",
];

const DECLARATION: &str = include_str!("new_plugin/mod.rs.txt");
const HANDLER: &str = include_str!("new_plugin/handler.rs.txt");
const TESTS: &str = include_str!("new_plugin/tests.rs.txt");
const README: &str = include_str!("new_plugin/README.md.txt");

/// Makes a plugin of the name in the arguments: `NAME [--family FAMILY]`.
pub fn run(args: &[String]) -> anyhow::Result<()> {
    let (name, family) = match args {
        [name] => (name, "traffic"),
        [name, flag, family] if flag == "--family" => (name, family.as_str()),
        _ => bail!(
            "new-plugin takes a NAME and --family {}",
            FAMILIES.join("|")
        ),
    };
    let folder = make(&root(), name, family)?;
    say(&format!(
        "wrote {folder}; `cargo test -p plugins-{family} {}`",
        module_of(name)
    ));
    say(
        "say in mod.rs what it is, in handler.rs what it does, in README.md what users need to know",
    );
    Ok(())
}

/// Writes the folder below a checkout, and the two lines that register it. Returns the folder's path in the checkout.
pub fn make(root: &Path, name: &str, family: &str) -> anyhow::Result<String> {
    let mut words = name.split('-');
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    if !words.all(is_word) {
        bail!(
            "the name of a plugin is words in lower case with hyphens between them, not {name:?}"
        );
    }
    if !FAMILIES.contains(&family) {
        bail!(
            "the family is one of {}, not {family:?}",
            FAMILIES.join(", ")
        );
    }
    let module = module_of(name);
    let sources = format!("crates/plugins-{family}/src");
    let folder = format!("{sources}/{module}");
    if root.join(&folder).exists() {
        bail!("{folder} is there already");
    }
    register(
        &root.join(&sources).join("lib.rs"),
        |line| line.starts_with("pub mod "),
        &format!("pub mod {module};"),
    )?;
    register(
        &root.join("crates/plugins/src/lib.rs"),
        |line| line.starts_with("    plugins_") && line.ends_with("::PLUGIN,"),
        &format!("    plugins_{family}::{module}::PLUGIN,"),
    )?;
    let path = root.join(&folder);
    fs::create_dir_all(&path)?;
    for (file, text) in [
        ("mod.rs", DECLARATION),
        ("handler.rs", HANDLER),
        ("tests.rs", TESTS),
        ("README.md", README),
    ] {
        fs::write(path.join(file), filled(text, name))?;
    }
    Ok(folder)
}

fn module_of(name: &str) -> String {
    name.replace('-', "_")
}

/// The text with the plugin's name in its three spellings.
fn filled(text: &str, name: &str) -> String {
    let kind: String = name
        .split('-')
        .map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_ascii_uppercase() + rest
        })
        .collect();
    text.replace("{name}", name)
        .replace("{module}", &module_of(name))
        .replace("{Kind}", &kind)
}

/// Adds a line behind the last one of its kind.
fn register(file: &Path, is_one: impl Fn(&str) -> bool, line: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut lines: Vec<&str> = text.lines().collect();
    let last = lines.iter().rposition(|line| is_one(line));
    let last = last.with_context(|| format!("{} registers no plugin", file.display()))?;
    lines.insert(last + 1, line);
    fs::write(file, lines.join("\n") + "\n")?;
    Ok(())
}

#[cfg(test)]
mod tests;
