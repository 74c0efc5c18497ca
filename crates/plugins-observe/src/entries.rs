//! Log entries as the logging plugins write them: the entry of the exchange, with its route and service, and with the
//! edits that plugins and configured Lua code make.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use lua::{Scene, Script, Stage};
use plugin_api::{
    Configured, Exchange, Failure, LogEdit, LogEntry, LogMode, LogSubjects, Needs, Phase, Services,
    Summary,
};
use schema::Field;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::queue::Queue;

/// What every logging plugin needs.
pub const NEEDS: Needs = {
    let mut needs = Needs::phases(&[Phase::Log]);
    needs.answer_head = true;
    needs
};

/// The field `custom_fields_by_lua`.
pub fn custom_fields() -> Field {
    let code = Field::string("").len_min(1).custom(|code| {
        let code = code.as_str().unwrap_or_default();
        lua::check_expression(code)
    });
    Field::map(
        "Lua code by the name of the log field that it computes.",
        Field::string("").len_min(1),
        code,
    )
}

/// Makes the entries of one record of a logging plugin.
pub struct Entries {
    plugin: &'static str,
    plugin_id: Uuid,
    services: Services,
    /// Members that Lua code computes.
    custom: Vec<(Box<str>, Script)>,
    subjects: Arc<LogSubjects>,
}

#[derive(Deserialize)]
struct Custom {
    custom_fields_by_lua: Option<BTreeMap<Box<str>, Box<str>>>,
}

thread_local! {
    /// Perf: where entries are written before their length is known, so that each is allocated once.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Entries {
    /// The entries of a record. Lua code that cannot run is reported, and its members are left out: no request is refused
    /// because it cannot be logged as wished.
    ///
    /// # Errors
    /// When the configuration is not what its declaration says.
    pub fn of(
        plugin: &'static str,
        record: &Configured<'_>,
        services: &Services,
    ) -> Result<Self, Failure> {
        let Custom {
            custom_fields_by_lua,
        } = record.read()?;
        let mut custom = Vec::new();
        for (path, code) in custom_fields_by_lua.into_iter().flatten() {
            match Script::new(&code, &services.node.lua) {
                Ok(script) => custom.push((path, script)),
                Err(error) => tracing::error!(
                    plugin,
                    plugin_id = %record.id,
                    "the log field {path} cannot be computed: {error}"
                ),
            }
        }
        Ok(Self {
            plugin,
            plugin_id: record.id,
            services: services.clone(),
            custom,
            subjects: LogSubjects::of(services),
        })
    }

    /// Puts the entry of an exchange into a queue, behind `prefix`.
    pub fn send(
        &self,
        exchange: &mut Exchange<'_>,
        summary: &Summary<'_>,
        prefix: &[u8],
        queue: &Arc<Queue>,
    ) {
        self.compute_custom(exchange, summary);
        let written = BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            buffer.extend_from_slice(prefix);
            LogEntry::of(exchange, summary).write(buffer);
            let (edits, start) = (&exchange.work.log_edits, prefix.len());
            let Some(described) = self.subjects.complete(buffer, &exchange.matched) else {
                edit(buffer, start, edits)?;
                queue.push(buffer);
                return Ok(());
            };
            let (mut text, edits, queue) = (buffer.clone(), edits.clone(), queue.clone());
            self.services.background.spawn(Box::pin(async move {
                described.await.append_to(&mut text);
                match edit(&mut text, start, &edits) {
                    Ok(()) => queue.push(&text),
                    Err(error) => unwritable(&error),
                }
            }));
            Ok(())
        });
        if let Err(error) = written {
            unwritable(&error);
        }
    }

    /// Compat: what the code computes is an edit of the exchange's entry, so that plugins behind this one log it as well.
    fn compute_custom(&self, exchange: &mut Exchange<'_>, summary: &Summary<'_>) {
        for (path, script) in &self.custom {
            let mut scene = Scene {
                exchange,
                services: &self.services,
                plugin: self.plugin,
                plugin_id: self.plugin_id,
                stage: Stage::Log(summary),
            };
            match script.evaluate(&mut scene) {
                Ok(value) => exchange.work.log_edits.push(LogEdit {
                    path: path.to_string().into(),
                    value,
                    mode: LogMode::Always,
                }),
                Err(error) => tracing::warn!(
                    plugin = self.plugin,
                    plugin_id = %self.plugin_id,
                    "the log field {path} was not computed: {error}"
                ),
            }
        }
    }
}

fn unwritable(error: &serde_json::Error) {
    tracing::error!("a log entry cannot be written: {error}");
}

/// Makes the edits of the entry that begins at `start`.
///
/// Perf: without edits nothing is parsed.
fn edit(text: &mut Vec<u8>, start: usize, edits: &[LogEdit]) -> serde_json::Result<()> {
    if edits.is_empty() {
        return Ok(());
    }
    let entry = text.get(start..).unwrap_or_default();
    let Value::Object(mut map) = serde_json::from_slice(entry)? else {
        return Ok(());
    };
    for edit in edits {
        edit.apply(&mut map);
    }
    text.truncate(start);
    serde_json::to_writer(text, &map)
}

#[cfg(test)]
pub mod tests;
