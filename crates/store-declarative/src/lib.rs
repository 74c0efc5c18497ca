//! The store of `database = off`: records in memory, all replaced at once.
//!
//! Commits are refused in Kong's words; [`DeclarativeStore::replace_all`] is the one way in.
//! It compares what comes with what was there, so that the change feed names only the records that differ.

mod feed;
mod rows;
mod state;

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::RwLock;
use schema::{Record, Schema};
use stdx::Clock;
use store::bulk::Sink;
use store::{
    Catalog, Changes, Error, EventKind, Key, Mutation, Page, PageRequest, Store, TagRow, Version,
};
use tokio::sync::watch;

use crate::feed::Feed;
use crate::state::State;

/// Events that the change log keeps at most; readers that are further behind reload everything.
pub const CHANGE_LOG: usize = 100_000;

/// Records in memory.
pub struct DeclarativeStore {
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    current: RwLock<Current>,
    newest: watch::Sender<Version>,
}

struct Current {
    state: Arc<State>,
    feed: Feed,
}

impl DeclarativeStore {
    /// A store with nothing in it but the default workspace.
    ///
    /// # Errors
    /// `Database` if the declaration of workspaces refuses the default one.
    pub fn new(catalog: Catalog, clock: Arc<dyn Clock>, change_log: usize) -> Result<Self, Error> {
        let store = Self {
            current: RwLock::new(Current {
                state: Arc::new(State::new(&catalog)),
                feed: Feed::new(change_log),
            }),
            newest: watch::Sender::new(Version::default()),
            catalog,
            clock,
        };
        store.replace_all([])?;
        Ok(store)
    }

    /// Makes `records` the whole content, in any order, and answers with the version of the last change.
    ///
    /// A record that differs from the one it replaces in nothing but its times counts as unchanged.
    ///
    /// # Errors
    /// A clash or a missing reference among the records; then everything stays as it was.
    pub fn replace_all<'r>(
        &self,
        records: impl IntoIterator<Item = (&'r str, Record)>,
    ) -> Result<Version, Error> {
        self.try_replace_all(records.into_iter().map(Ok))
    }

    /// As [`Self::replace_all`], for records that come one by one and may fail to.
    ///
    /// # Errors
    /// Also those of the records; then everything stays as it was.
    pub fn try_replace_all<'r>(
        &self,
        records: impl IntoIterator<Item = Result<(&'r str, Record), Error>>,
    ) -> Result<Version, Error> {
        let state = self.build(records)?;
        let mut current = self.current.write();
        let changes = self.differences(&current.state, &state);
        current.feed.extend(changes);
        current.state = Arc::new(state);
        let version = current.feed.newest();
        drop(current);
        self.newest.send_replace(version);
        Ok(version)
    }

    fn build<'r>(
        &self,
        records: impl IntoIterator<Item = Result<(&'r str, Record), Error>>,
    ) -> Result<State, Error> {
        let now = self.clock.unix_seconds();
        let mut state = State::new(&self.catalog);
        let mut has_default = false;
        for record in records {
            let (entity, record) = record?;
            let schema = self
                .catalog
                .get(entity)
                .ok_or_else(|| Error::Database(format!("there is no entity {entity}")))?;
            has_default |=
                entity == "workspaces" && record.get("name").is_some_and(|name| name == "default");
            state.insert(schema, record, now)?;
        }
        if !has_default && let Some(schema) = self.catalog.get("workspaces") {
            let workspace = store::repository::default_workspace(schema, now)?;
            state.insert(schema, workspace, now)?;
        }
        state.check_references(&self.catalog)?;
        Ok(state)
    }

    /// What became of each record: new and changed ones parents first, then deleted ones children first.
    fn differences(&self, old: &State, new: &State) -> Vec<(&'static str, uuid::Uuid, EventKind)> {
        let mut changes = Vec::new();
        for schema in self.catalog.parents_first() {
            let (before, after) = (old.rows(schema.name), new.rows(schema.name));
            for id in after.ids() {
                if !before.contains(id) {
                    changes.push((schema.name, *id, EventKind::Create));
                } else if after.differs(before, id, schema) {
                    changes.push((schema.name, *id, EventKind::Update));
                }
            }
        }
        for schema in self.catalog.parents_first().rev() {
            let (before, after) = (old.rows(schema.name), new.rows(schema.name));
            for id in before.ids().filter(|id| !after.contains(id)) {
                changes.push((schema.name, *id, EventKind::Delete));
            }
        }
        changes
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.current.read().state)
    }
}

#[async_trait]
impl Store for DeclarativeStore {
    fn kind(&self) -> &'static str {
        "off"
    }

    async fn get(&self, schema: &Schema, key: Key<'_>) -> Result<Option<Record>, Error> {
        let now = self.clock.unix_seconds();
        self.state().get(schema, key, now)
    }

    async fn page(&self, schema: &Schema, request: &PageRequest<'_>) -> Result<Page, Error> {
        let now = self.clock.unix_seconds();
        self.state().page(schema, request, now)
    }

    /// Compat: the message is Kong's, with the first mutation's verb.
    async fn commit(&self, mutations: &[Mutation<'_>]) -> Result<Version, Error> {
        let Some(first) = mutations.first() else {
            return self.version().await;
        };
        let verb = match first {
            Mutation::Insert(..) => "create",
            Mutation::Update(..) | Mutation::Replace { .. } => "update",
            Mutation::Upsert(..) => "create or update",
            Mutation::Delete(..) | Mutation::Truncate(..) => "remove",
        };
        let entity = first.schema().name;
        Err(Error::ReadOnly(format!(
            "cannot {verb} '{entity}' entities when not using a database"
        )))
    }

    async fn tags(
        &self,
        tag: Option<&str>,
        request: &PageRequest<'_>,
    ) -> Result<(Vec<TagRow>, Option<String>), Error> {
        self.state().tags(tag, request)
    }

    async fn version(&self) -> Result<Version, Error> {
        Ok(self.current.read().feed.newest())
    }

    async fn changes(&self, since: Version) -> Result<Changes, Error> {
        Ok(self.current.read().feed.after(since))
    }

    async fn changed(&self, since: Version) {
        let mut newest = self.newest.subscribe();
        // The store holds the sender, so waiting cannot fail while it is borrowed.
        let _ = newest.wait_for(|version| *version != since).await;
    }

    async fn read_all(
        &self,
        schemas: &[&'static Schema],
        sink: &mut dyn Sink,
    ) -> Result<Version, Error> {
        let now = self.clock.unix_seconds();
        let (state, version) = {
            let current = self.current.read();
            (Arc::clone(&current.state), current.feed.newest())
        };
        for schema in schemas {
            let mut request = PageRequest {
                size: PageRequest::MAX_SIZE,
                ..PageRequest::default()
            };
            loop {
                let page = state.page(schema, &request, now)?;
                sink.take(schema, page.records).await?;
                match page.offset {
                    None => break,
                    offset => request.offset = offset,
                }
            }
        }
        Ok(version)
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }
}
