//! How the command `reload` tells a running node its settings: one file under the prefix, answered by another.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use config::Sources;
use serde_json::{Value, json};

use crate::prefix::write_private;
use crate::{Error, Prefix};

const REQUEST: &str = ".reload.json";
const ANSWER: &str = ".reload-answer.json";

/// Leaves the sources of settings for the node; it reads them when it gets SIGHUP.
pub fn write(prefix: &Prefix, sources: &Sources) -> Result<(), Error> {
    // An answer to an earlier request must not be taken for the answer to this one.
    let _ = fs::remove_file(prefix.path().join(ANSWER));
    let settings: BTreeMap<&String, &String> = sources
        .environment
        .iter()
        .filter(|(name, _)| name.starts_with("KONG_") || name.starts_with("SILVERBACK_"))
        .collect();
    let file = sources
        .file
        .as_ref()
        .map(|file| std::path::absolute(file).unwrap_or_else(|_| file.clone()));
    let request = json!({ "file": file, "environment": settings });
    write_private(&prefix.path().join(REQUEST), &request.to_string())
}

/// Takes the request, if there is one, and lays it over the sources that the node was started with: the settings of the
/// environment are replaced, references to secrets are still looked up in the node's own environment.
pub fn take(prefix: &Prefix, started_with: &Sources) -> Option<Sources> {
    let path = prefix.path().join(REQUEST);
    let text = fs::read_to_string(&path).ok()?;
    // Reading it again would do no harm.
    let _ = fs::remove_file(&path);
    let request: Value = serde_json::from_str(&text).ok()?;
    let mut sources = started_with.clone();
    if let Some(file) = request["file"].as_str() {
        sources.file = Some(PathBuf::from(file));
    }
    if let Some(environment) = request["environment"].as_object() {
        for (name, value) in environment {
            if let Some(value) = value.as_str() {
                sources.environment.insert(name.clone(), value.to_owned());
            }
        }
    }
    Some(sources)
}

/// Tells the command what became of its request.
pub fn answer(prefix: &Prefix, outcome: Result<(), String>) -> Result<(), Error> {
    let answer = match outcome {
        Ok(()) => json!({ "ok": true }),
        Err(reason) => json!({ "ok": false, "reason": reason }),
    };
    write_private(&prefix.path().join(ANSWER), &answer.to_string())
}

/// The node's answer, once.
pub fn take_answer(prefix: &Prefix) -> Option<Result<(), String>> {
    let path = prefix.path().join(ANSWER);
    let text = fs::read_to_string(&path).ok()?;
    let answer: Value = serde_json::from_str(&text).ok()?;
    // The next request removes it as well.
    let _ = fs::remove_file(&path);
    Some(if answer["ok"] == json!(true) {
        Ok(())
    } else {
        Err(answer["reason"]
            .as_str()
            .unwrap_or("no reason given")
            .to_owned())
    })
}

#[cfg(test)]
mod tests;
