//! A node's copy of the shared store, in one file on its own disk, from which it starts and serves without a database.
//!
//! - A table for each entity: id, the record as JSON text, its checksum, and a seal over all of it. A person can open it.
//! - What is read again is found by indexes over the JSON; nothing is unique but the id, because records arrive in batches
//!   of which each by itself may be halfway through a swap of names.
//! - Batches are written with `synchronous = NORMAL`: a power cut may lose the newest of them, never half of one, and what
//!   is lost is followed again.
//! - Every seal is checked when the file is opened. A file that is damaged, or is none of ours, is put aside under
//!   another name and rebuilt (see [`file`]).

mod file;
mod layout;
mod read;
mod write;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::Connection;
use schema::{Record, Schema};
use stdx::Clock;
use store::replica::{Change, Counts, Place, Rebuild};
use store::{
    Catalog, Changes, Digests, Error, Key, Mutation, Page, PageRequest, Store, TagRow, Version,
};
use tokio::sync::watch;
use uuid::Uuid;

use crate::closed;
use crate::readers::Readers;
use crate::replica::layout::{Collection, Collections};

/// Connections that read at the same time.
const READERS: usize = 4;

/// The copy.
pub struct Replica {
    shared: Arc<Shared>,
    readers: Readers,
    place: watch::Receiver<Option<Place>>,
    is_moved: bool,
    is_whole: bool,
}

/// What the copy has in common with threads that write it.
struct Shared {
    collections: Collections,
    clock: Arc<dyn Clock>,
    /// The name of the database in the settings.
    origin: String,
    /// Held for as long as a transaction lasts.
    writer: Mutex<Connection>,
    announce: watch::Sender<Option<Place>>,
}

impl Replica {
    /// Opens the copy and checks it, or makes an empty one; it blocks for as long as that takes. `origin` names the
    /// database that it is a copy of, by the settings.
    ///
    /// # Errors
    /// `Unavailable` if the file can be neither used nor replaced.
    pub fn open(
        path: &Path,
        catalog: &Catalog,
        clock: Arc<dyn Clock>,
        origin: &str,
    ) -> Result<Self, Error> {
        let collections = Collections::new(catalog);
        let opened = file::open(path, &collections)?;
        let (announce, place) = watch::channel(opened.place);
        Ok(Self {
            is_moved: opened.place.is_some() && opened.origin.as_deref() != Some(origin),
            is_whole: opened.is_whole,
            shared: Arc::new(Shared {
                collections,
                clock,
                origin: origin.to_owned(),
                writer: Mutex::new(opened.connection),
                announce,
            }),
            readers: Readers::new(path, READERS),
            place,
        })
    }

    /// Runs a query over one collection.
    async fn query<T, F>(&self, schema: &Schema, query: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &Collection, i64) -> Result<T, Error> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let position = shared.collections.position(schema.name)?;
        let now = shared.clock.unix_seconds();
        self.readers
            .run(move |connection| query(connection, &shared.collections.all[position], now))
            .await
    }
}

/// Does something that blocks on a thread for that.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|error| Error::Database(format!("a write ended early: {error}")))?
}

fn refused() -> Error {
    Error::Unavailable("the replica takes no writes".to_owned())
}

#[async_trait]
impl Store for Replica {
    fn kind(&self) -> &'static str {
        "replica"
    }

    async fn get(&self, schema: &Schema, key: Key<'_>) -> Result<Option<Record>, Error> {
        let key = crate::read::Key::from(key);
        self.query(schema, move |connection, collection, now| {
            read::get(connection, collection, &key, now)
        })
        .await
    }

    async fn get_many(&self, schema: &Schema, ids: &[Uuid]) -> Result<Vec<Record>, Error> {
        let ids = ids.to_vec();
        self.query(schema, move |connection, collection, now| {
            let get = |id: Uuid| read::get(connection, collection, &crate::read::Key::Id(id), now);
            ids.into_iter()
                .filter_map(|id| get(id).transpose())
                .collect()
        })
        .await
    }

    async fn page(&self, schema: &Schema, request: &PageRequest<'_>) -> Result<Page, Error> {
        let request = crate::read::Request::from(request);
        self.query(schema, move |connection, collection, now| {
            read::page(connection, collection, &request, now)
        })
        .await
    }

    async fn commit(&self, _: &[Mutation<'_>]) -> Result<Version, Error> {
        Err(refused())
    }

    async fn tags(
        &self,
        tag: Option<&str>,
        request: &PageRequest<'_>,
    ) -> Result<(Vec<TagRow>, Option<String>), Error> {
        let tag = tag.map(str::to_owned);
        let request = crate::read::Request::from(request);
        let shared = Arc::clone(&self.shared);
        self.readers
            .run(move |connection| {
                let now = shared.clock.unix_seconds();
                read::tags(
                    connection,
                    &shared.collections,
                    tag.as_deref(),
                    &request,
                    now,
                )
            })
            .await
    }

    async fn version(&self) -> Result<Version, Error> {
        let place = *self.place.borrow();
        place
            .map(|place| place.version)
            .ok_or_else(|| Error::Unavailable("the replica is empty".to_owned()))
    }

    async fn changes(&self, since: Version) -> Result<Changes, Error> {
        let until = self.version().await?;
        let events = Vec::new();
        Ok(match since == until {
            true => Changes::Events { until, events },
            false => Changes::Reload { from: until },
        })
    }

    async fn mark(&self, version: Version) -> Result<Option<i64>, Error> {
        let place = *self.place.borrow();
        let at = place.filter(|place| place.version == version);
        Ok(at.and_then(|place| place.mark))
    }

    async fn changed(&self, since: Version) {
        let mut place = self.place.clone();
        let other = |place: &Option<Place>| place.is_some_and(|place| place.version != since);
        if place.wait_for(other).await.is_err() {
            // Nobody is left who could write.
            std::future::pending::<()>().await;
        }
    }

    async fn ping(&self) -> Result<(), Error> {
        self.readers.run(read::ping).await
    }

    async fn digests(&self, schemas: &[&Schema]) -> Result<(Version, Digests), Error> {
        let shared = Arc::clone(&self.shared);
        let positions: Vec<usize> = schemas
            .iter()
            .map(|schema| shared.collections.position(schema.name))
            .collect::<Result<_, _>>()?;
        self.readers
            .run(move |connection| {
                let now = shared.clock.unix_seconds();
                read::digests(connection, &shared.collections, &positions, now)
            })
            .await
    }
}

#[async_trait]
impl store::Replica for Replica {
    fn place(&self) -> Option<Place> {
        *self.place.borrow()
    }

    fn is_moved(&self) -> bool {
        self.is_moved
    }

    fn is_whole(&self) -> bool {
        self.is_whole
    }

    async fn apply(&self, changes: &[Change], to: Place) -> Result<(), Error> {
        let rows = write::encode(&self.shared, changes)?;
        let shared = Arc::clone(&self.shared);
        blocking(move || write::apply(&shared, rows, to)).await
    }

    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, Error> {
        Ok(Box::new(write::Rebuilding::begin(&self.shared)))
    }

    async fn checksums(
        &self,
        schema: &Schema,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<(Uuid, u64)>, Error> {
        self.query(schema, move |connection, collection, now| {
            read::checksums(connection, collection, after, limit, now)
        })
        .await
    }

    async fn counts(&self) -> Result<Counts, Error> {
        self.readers.run(read::counts).await
    }
}

impl Shared {
    /// Tells whoever waits where the content stands now.
    fn announce(&self, place: Place) {
        self.announce.send_replace(Some(place));
    }
}

/// A thread that writes has ended without a word.
fn lost() -> Error {
    closed()
}
