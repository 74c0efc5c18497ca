//! What plugins write: through the repository, as the Admin API does, on the control side and behind a guard.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use plugin_api::{BoxFuture, WriteError, Writer};
use schema::{Record, Schema};
use services::Guard;
use store::{Key, Mutation, Repository, repository};
use uuid::Uuid;

use crate::plugin_counters;
use crate::plugin_table::LateRecords;

/// How long an answer may take; the store gives up earlier if it is told to.
const LIMIT: Duration = Duration::from_secs(10);

/// The writer of a store that is opened after the plugins are there.
pub struct StoreWriter {
    open: OnceLock<Open>,
    /// What this node has looked up, and has to forget of what it changes itself.
    records: Arc<LateRecords>,
}

struct Open {
    repository: Repository,
    guard: Guard,
    /// The entities that plugins declare.
    own: HashSet<&'static str>,
}

/// What a write came to: a store that does not answer is for the guard, all else for the plugin.
type Written<T> = Result<Result<T, WriteError>, String>;

impl StoreWriter {
    /// One that refuses everything until there is a store.
    pub fn new(records: Arc<LateRecords>) -> Self {
        Self {
            open: OnceLock::new(),
            records,
        }
    }

    /// Lets plugins write. It is opened once; a second time changes nothing.
    pub fn open(&self, repository: Repository) {
        let declared = plugins::all()
            .iter()
            .flat_map(|plugin| plugin.declaration.entities);
        let open = Open {
            guard: plugin_counters::guard("the database", repository.store()),
            own: declared.map(|schema| schema().name).collect(),
            repository,
        };
        let _ = self.open.set(open);
    }

    fn ask<T, W>(
        &self,
        entity: &'static str,
        work: impl FnOnce(Repository, Arc<LateRecords>, &'static Schema) -> W,
    ) -> BoxFuture<Result<T, WriteError>>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, repository::Error>> + Send + 'static,
    {
        let Some(open) = self.open.get() else {
            return refused(WriteError::Unavailable("it is not open yet".to_owned()));
        };
        let schema = open.repository.catalog().get(entity);
        let Some(schema) = schema.filter(|schema| open.own.contains(schema.name)) else {
            return refused(WriteError::Refused(format!(
                "no plugin declares the entity {entity}"
            )));
        };
        let work = work(open.repository.clone(), self.records.clone(), schema);
        let asked = open.guard.ask(LIMIT, async move { outcome(work.await) });
        Box::pin(async move { asked.await.map_err(WriteError::Unavailable)? })
    }
}

fn refused<T: Send + 'static>(error: WriteError) -> BoxFuture<Result<T, WriteError>> {
    Box::pin(std::future::ready(Err(error)))
}

fn outcome<T>(written: Result<T, repository::Error>) -> Written<T> {
    let error = match written {
        Ok(written) => return Ok(Ok(written)),
        Err(repository::Error::Store(error)) => error,
        Err(error) => return Ok(Err(WriteError::Refused(error.to_string()))),
    };
    let text = error.to_string();
    Ok(Err(match error {
        store::Error::Unavailable(reason) => return Err(reason),
        store::Error::Full(_) | store::Error::Unprepared(_) => return Err(text),
        store::Error::ReadOnly(_) => WriteError::ReadOnly(text),
        store::Error::NotFound => WriteError::NotFound,
        store::Error::PrimaryKeyViolation { .. } | store::Error::UniqueViolation { .. } => {
            WriteError::Taken(text)
        }
        store::Error::Conflict | store::Error::Database(_) => WriteError::Unavailable(text),
        _ => WriteError::Refused(text),
    }))
}

/// Forgets what was known of a record before it was written.
fn forget(records: &LateRecords, schema: &Schema, record: &Record, is_gone: bool) {
    let id = record.get("id").and_then(|id| id.as_str()?.parse().ok());
    if let Some(id) = id {
        records.changed(schema.name, id, (!is_gone).then_some(record));
    }
}

impl Writer for StoreWriter {
    fn insert(
        &self,
        entity: &'static str,
        record: Record,
    ) -> BoxFuture<Result<Arc<Record>, WriteError>> {
        self.ask(entity, |repository, records, schema| async move {
            let (record, _) = repository.insert(schema, record).await?;
            forget(&records, schema, &record, false);
            Ok(Arc::new(record))
        })
    }

    fn update(
        &self,
        entity: &'static str,
        id: Uuid,
        changes: Record,
    ) -> BoxFuture<Result<Arc<Record>, WriteError>> {
        self.ask(entity, move |repository, records, schema| async move {
            let (record, _) = repository.update(schema, &Key::Id(id), changes).await?;
            forget(&records, schema, &record, false);
            Ok(Arc::new(record))
        })
    }

    fn delete(
        &self,
        entity: &'static str,
        id: Uuid,
    ) -> BoxFuture<Result<Option<Arc<Record>>, WriteError>> {
        self.ask(entity, move |repository, records, schema| async move {
            let Some(record) = repository.get(schema, &Key::Id(id)).await? else {
                return Ok(None);
            };
            // Invariant: the update fails once the row is gone, and both are one transaction; so one of many gets it.
            let claim = Mutation::Update(schema, record.clone());
            let mutations = [claim, Mutation::Delete(schema, id)];
            let claimed = match repository.commit(&mutations).await {
                Ok(_) => Some(Arc::new(record.clone())),
                Err(repository::Error::Store(store::Error::NotFound)) => None,
                Err(error) => return Err(error),
            };
            forget(&records, schema, &record, true);
            Ok(claimed)
        })
    }
}

#[cfg(test)]
mod tests;
