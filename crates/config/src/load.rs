//! From a file, the environment and the command line to checked values.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::declaration::{Effect, Kind};
use crate::reference::{Reference, environment_value};
use crate::settings::{Settings, default_prefix};
use crate::value::{self, Value};
use crate::{Error, Problem, check, file, table};

/// Where the file is looked for when nobody names one; the first that exists counts.
pub(crate) const DEFAULT_FILES: [&str; 3] = [
    "/etc/silverback/silverback.conf",
    "/etc/kong/kong.conf",
    "/etc/kong.conf",
];

/// Where settings come from, weakest first: defaults, the file, the environment, overrides.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file that the user named; it must exist. Without it, the default places are tried.
    pub file: Option<PathBuf>,
    /// All environment variables; `KONG_*` and `SILVERBACK_*` are settings, and the latter win.
    pub environment: BTreeMap<String, String>,
    /// From the command line, such as `prefix`.
    pub overrides: BTreeMap<String, String>,
}

/// Something that works, but perhaps not as it was meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// Names that are no settings.
    #[error("unknown settings, ignored: {}", .0.join(", "))]
    Unknown(Vec<String>),
    /// Settings that change nothing here.
    #[error("settings without effect in Silverback: {}", no_effect_text(.0))]
    NoEffect(Vec<(String, &'static str)>),
    /// A name that should be replaced.
    #[error("the setting '{name}' is deprecated, use '{replacement}' instead")]
    Deprecated {
        name: &'static str,
        replacement: &'static str,
    },
}

fn no_effect_text(settings: &[(String, &'static str)]) -> String {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, reason) in settings {
        by_reason.entry(reason).or_default().push(name);
    }
    let parts: Vec<String> = by_reason
        .into_iter()
        .map(|(reason, names)| format!("{} ({reason})", names.join(", ")))
        .collect();
    parts.join("; ")
}

/// What [`load`] found.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub settings: Settings,
    pub warnings: Vec<Warning>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
}

/// Reads all sources and checks every value; all mistakes are reported at once.
///
/// It reads the configuration file and looks whether files that settings name exist.
pub fn load(sources: &Sources) -> Result<Loaded, Error> {
    let file = find_file(sources);
    let mut given = match &file {
        Some(path) => read_file(path)?,
        None => BTreeMap::new(),
    };
    given.extend(from_environment(&sources.environment));
    given.extend(sources.overrides.clone());
    let unknown = take_unknown(&mut given);

    let mut problems = Vec::new();
    let explicit: BTreeSet<String> = given.keys().cloned().collect();
    let warnings = warnings(unknown, &given);
    forward_aliases(&mut given);
    let references = dereference(&mut given, &sources.environment, &mut problems);
    let values = parse_all(&given, &mut problems);
    let mut values = with_prefix(values, &sources.environment);
    check::derive(&mut values, &explicit);
    check::check(&values, &mut problems);
    let mut settings = Settings::from_values(values, explicit, &mut problems);
    settings.references = references;
    if !problems.is_empty() {
        problems.sort_by(|a, b| a.name.cmp(&b.name));
        problems.dedup();
        return Err(Error::Invalid(problems));
    }
    Ok(Loaded {
        settings,
        warnings,
        file,
    })
}

fn find_file(sources: &Sources) -> Option<PathBuf> {
    if sources.file.is_some() {
        return sources.file.clone();
    }
    DEFAULT_FILES
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
}

fn read_file(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    let text = stdx::files::read_small_text(path).map_err(|source| Error::ReadFile {
        path: path.to_owned(),
        source,
    })?;
    Ok(file::parse(path, &text)?.into_iter().collect())
}

fn from_environment(environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for prefix in ["KONG_", "SILVERBACK_"] {
        for (variable, value) in environment {
            if let Some(name) = variable
                .strip_prefix(prefix)
                .filter(|name| !name.is_empty())
            {
                settings.insert(setting_name(prefix, name), value.clone());
            }
        }
    }
    settings
}

/// `SILVERBACK_READINESS` is the setting `silverback_readiness`, for the word need not be said twice.
fn setting_name(prefix: &str, variable: &str) -> String {
    let name = variable.to_ascii_lowercase();
    let whole = format!("{}{name}", prefix.to_ascii_lowercase());
    if table::find(&name).is_none() && table::find(&whole).is_some() {
        whole
    } else {
        name
    }
}

/// Variables that Kong's images and test tools set, and that are no settings.
const NOT_SETTINGS: [&str; 4] = ["version", "lua_path_override", "test", "package"];

fn take_unknown(given: &mut BTreeMap<String, String>) -> Vec<String> {
    let mut unknown = Vec::new();
    given.retain(|name, _| {
        let known = table::find(name).is_some() || table::family(name).is_some();
        if !known && !NOT_SETTINGS.contains(&name.as_str()) {
            unknown.push(name.clone());
        }
        known
    });
    unknown
}

/// Replaces references to secrets by what they stand for, and returns the texts that had any.
fn dereference(
    given: &mut BTreeMap<String, String>,
    environment: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, String> {
    let prefix = given.get("vault_env_prefix").cloned();
    let vaults = given.get("vaults").map_or("bundled", String::as_str);
    let has_env = vaults
        .split(',')
        .any(|vault| matches!(vault.trim(), "bundled" | "env"));
    let mut references = BTreeMap::new();
    for (name, text) in given.iter_mut() {
        let is_list = table::find(name).is_some_and(|setting| setting.kind.is_list());
        let items: Vec<String> = if is_list {
            text.split(',').map(|item| item.trim().to_owned()).collect()
        } else {
            vec![text.trim().to_owned()]
        };
        if !items.iter().any(|item| Reference::is_reference(item)) {
            continue;
        }
        references.insert(name.clone(), text.clone());
        let resolved = items.into_iter().map(|item| {
            if Reference::is_reference(&item) {
                if has_env {
                    resolve(&item, prefix.as_deref(), environment)
                } else {
                    Err(format!("{item}: the setting `vaults` leaves out env"))
                }
            } else {
                Ok(item)
            }
        });
        match resolved.collect::<Result<Vec<_>, _>>() {
            Ok(items) => *text = items.join(","),
            Err(reason) => {
                problems.push(Problem::new(
                    name,
                    format!("failed to dereference {name}: {reason}"),
                ));
                text.clear();
            }
        }
    }
    references
}

fn resolve(
    text: &str,
    prefix: Option<&str>,
    environment: &BTreeMap<String, String>,
) -> Result<String, String> {
    let reference = Reference::parse(text)?;
    if reference.vault != "env" {
        return Err(format!(
            "{text}: there is no vault named {} (env)",
            reference.vault
        ));
    }
    environment_value(&reference, prefix, environment).map_err(|reason| format!("{text}: {reason}"))
}

fn warnings(unknown: Vec<String>, given: &BTreeMap<String, String>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut no_effect = Vec::new();
    let database = given.get("database").map(|text| text.trim());
    let is_postgres = database.is_none_or(|name| name == "postgres");
    for (name, text) in given {
        let Some(setting) = table::find(name) else {
            if let Some(family) = table::family(name) {
                no_effect.push((name.clone(), table::family_reason(family)));
            }
            continue;
        };
        // Who asks for what holds anyway loses nothing.
        if let Effect::Nothing(reason) = setting.effect
            && text.trim() != setting.default
        {
            no_effect.push((name.clone(), reason));
        } else if name.starts_with("pg_") && !is_postgres {
            no_effect.push((name.clone(), "another `database` is chosen"));
        }
        if let Some(replacement) = setting.replaced_by {
            warnings.push(Warning::Deprecated {
                name: setting.name,
                replacement,
            });
        }
    }
    if !unknown.is_empty() {
        warnings.push(Warning::Unknown(unknown));
    }
    if !no_effect.is_empty() {
        warnings.push(Warning::NoEffect(no_effect));
    }
    warnings
}

/// A value given under an older or shorter name counts for the directives that it feeds.
fn forward_aliases(given: &mut BTreeMap<String, String>) {
    for setting in table::groups().iter().flat_map(|group| group.settings) {
        let Some(value) = given.get(setting.name).cloned() else {
            continue;
        };
        for target in setting.feeds.iter().copied().chain(setting.replaced_by) {
            given
                .entry(target.to_owned())
                .or_insert_with(|| value.clone());
        }
    }
}

fn parse_all(
    given: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    let mut read = |name: &str, kind: &Kind, text: &str| match value::parse(name, kind, text) {
        Ok(Some(value)) => {
            values.insert(name.to_owned(), value);
        }
        Ok(None) => {}
        Err(message) => problems.push(Problem::new(name, message)),
    };
    for setting in table::groups().iter().flat_map(|group| group.settings) {
        let text = given
            .get(setting.name)
            .map_or(setting.default, String::as_str);
        read(setting.name, &setting.kind, text);
    }
    for (name, text) in given {
        if table::find(name).is_none() {
            read(name, &Kind::Text, text);
        }
    }
    values
}

fn with_prefix(
    mut values: BTreeMap<String, Value>,
    environment: &BTreeMap<String, String>,
) -> BTreeMap<String, Value> {
    let prefix = match values.get("prefix").and_then(Value::text) {
        Some(path) => PathBuf::from(path),
        None => default_prefix(environment.get("HOME").map(Path::new)),
    };
    let prefix = std::path::absolute(&prefix).unwrap_or(prefix);
    let text = prefix.to_string_lossy().trim_end_matches('/').to_owned();
    let text = if text.is_empty() {
        "/".to_owned()
    } else {
        text
    };
    values.insert("prefix".to_owned(), Value::Text(text));
    values
}

#[cfg(test)]
mod tests;
