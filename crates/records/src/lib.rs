//! Records for the plugins: consumers and credentials out of the store, through a bounded cache of the node.
//!
//! - What was found is kept until the change feed says that it changed; that nothing was found is kept as well, so that
//!   guessing keys costs the store nothing. All of it together takes no more memory than it may.
//! - Many who ask for the same thing at once ask the store once.
//! - Invariant: an answer that was read before a change never stays in the cache after it. A read notes the epoch of its
//!   entity before it asks the store, and keeps the answer only if the epoch is the same afterwards.
//! - Invariant: an epoch advances again once nothing older than the change can be found here, so that what others made of
//!   records while these were being forgotten is as old as what they made before (`plugin_api::Epoch`).
//! - While the store is cut off from what others write, that nothing was found means nothing: the answer is
//!   [`Unavailable`], never *there is no such record*.
//! - A unique value leads to an id, and the id to the record: when a record changes, only its id has to be forgotten,
//!   because a record that no longer holds the value is a miss.

mod epochs;
mod weight;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState as IdHasher;
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use moka::sync::Cache;
use parking_lot::Mutex;
use plugin_api::{BoxFuture, By, Epoch, Lookup, Records, Unavailable};
use schema::{Record, Schema};
use serde_json::Value;
use stdx::Clock;
use store::{Catalog, Key, PageRequest, Store};
use tokio::runtime::Handle;
use uuid::Uuid;

pub use self::epochs::Epochs;

type Name = &'static str;
type Found = Option<Arc<Record>>;
type Flight<T> = Shared<BoxFuture<Result<T, Unavailable>>>;
/// An entity, a unique field and its value.
type UniqueKey = (Name, Name, Box<str>);
/// An entity, a foreign field and the id in it.
type ParentKey = (Name, Name, Uuid);

/// Tells whether a store knows everything that there is: not while it is a copy whose origin is out of reach.
pub type IsCurrent = Arc<dyn Fn() -> bool + Send + Sync>;

/// The cache. Cloning shares it.
#[derive(Clone)]
pub struct RecordCache(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    catalog: Catalog,
    /// Whether the store knows everything that there is.
    is_current: IsCurrent,
    /// Where the store is asked; never on a worker.
    runtime: Handle,
    clock: Arc<dyn Clock>,
    memory: u64,
    /// Perf: ids come from the store, not from clients, so a fast hash will do; the values of `by_unique` are what
    /// clients guess, and keep the hash that withstands floods.
    by_id: Cache<(Name, Uuid), Entry, IdHasher>,
    by_unique: Cache<UniqueKey, Option<Uuid>>,
    by_parent: Cache<ParentKey, Arc<[Uuid]>, IdHasher>,
    epochs: Epochs,
    records_asked: Flights<(Name, Uuid), Found>,
    values_asked: Flights<UniqueKey, Found>,
    parents_asked: Flights<ParentKey, Arc<[Arc<Record>]>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What is known of an id.
#[derive(Clone)]
struct Entry {
    record: Found,
    /// When a record with a time to live is gone.
    until: Option<Instant>,
}

/// How the cache has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    pub hits: u64,
    pub misses: u64,
    /// How many records, values and lists are kept.
    pub entries: u64,
    /// How many bytes they take, about.
    pub bytes: u64,
}

impl RecordCache {
    /// An empty cache that takes about as many bytes as `memory` says, and advances `epochs`. The store is asked on
    /// `runtime`.
    pub fn new(
        store: Arc<dyn Store>,
        catalog: Catalog,
        is_current: IsCurrent,
        memory: u64,
        epochs: Epochs,
        runtime: Handle,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let part = |of: u64| memory / 8 * of;
        Self(Arc::new(Inner {
            store,
            catalog,
            is_current,
            runtime,
            clock,
            memory,
            by_id: bounded(part(5), |_, entry: &Entry| {
                weight::of_record(entry.record.as_deref())
            }),
            by_unique: bounded(part(2), |(_, _, value): &UniqueKey, _| {
                weight::of_key(value.len())
            }),
            by_parent: bounded(part(1), |_, ids: &Arc<[Uuid]>| {
                weight::of_key(ids.len() * size_of::<Uuid>())
            }),
            epochs,
            records_asked: Flights::default(),
            values_asked: Flights::default(),
            parents_asked: Flights::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }))
    }

    /// Forgets what a change has made untrue. `record` is the record as it is now; `None` if it is gone.
    pub fn changed(&self, entity: &str, id: Uuid, record: Option<&Record>) {
        let inner = &self.0;
        let epoch = inner.epochs.of(entity);
        epoch.advance();
        inner.forget_flights();
        if let Some(schema) = inner.schema(entity) {
            inner.forget(schema, id, record);
        }
        epoch.advance();
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let inner = &self.0;
        inner.epochs.advance_all();
        inner.forget_flights();
        inner.forget_all();
        inner.epochs.advance_all();
    }

    /// Reads records of these entities before anybody asks for them, until half the memory is taken. What other entities
    /// they lead to is not read.
    ///
    /// # Errors
    /// When the store cannot be read; what was read until then is kept.
    pub async fn warm(&self, entities: &[String]) -> Result<u64, Unavailable> {
        let inner = &self.0;
        let mut read = 0;
        for schema in entities.iter().filter_map(|name| inner.schema(name)) {
            read += inner.warm(schema).await?;
        }
        Ok(read)
    }

    /// How the cache has done so far.
    pub fn figures(&self) -> Figures {
        let inner = &self.0;
        Figures {
            hits: inner.hits.load(Ordering::Relaxed),
            misses: inner.misses.load(Ordering::Relaxed),
            entries: inner.by_id.entry_count()
                + inner.by_unique.entry_count()
                + inner.by_parent.entry_count(),
            bytes: inner.by_id.weighted_size()
                + inner.by_unique.weighted_size()
                + inner.by_parent.weighted_size(),
        }
    }

    fn hit<T>(&self, value: T) -> Lookup<T> {
        self.0.hits.fetch_add(1, Ordering::Relaxed);
        Lookup::Known(value)
    }

    fn miss<T>(&self, flight: Flight<T>) -> Lookup<T>
    where
        T: Clone + Send + Sync + 'static,
    {
        self.0.misses.fetch_add(1, Ordering::Relaxed);
        Lookup::Fetch(Box::pin(flight))
    }
}

impl Records for RecordCache {
    fn find(&self, entity: Name, by: By<'_>) -> Lookup<Found> {
        let inner = &self.0;
        match by {
            By::Id(id) => {
                match inner.known(entity, id).filter(|found| inner.is_sure(found)) {
                    Some(record) => self.hit(record),
                    None => {
                        let read = inner.clone();
                        self.miss(inner.records_asked.join(
                            &inner.runtime,
                            (entity, id),
                            move || read.read_id(entity, id),
                        ))
                    }
                }
            }
            By::Unique(field, value) => match inner
                .known_value(entity, field, value)
                .filter(|found| inner.is_sure(found))
            {
                Some(record) => self.hit(record),
                None => {
                    let (read, value) = (inner.clone(), Box::<str>::from(value));
                    let key = (entity, field, value.clone());
                    self.miss(inner.values_asked.join(&inner.runtime, key, move || {
                        read.read_value(entity, field, value)
                    }))
                }
            },
        }
    }

    fn children(&self, entity: Name, foreign: Name, id: Uuid) -> Lookup<Arc<[Arc<Record>]>> {
        let inner = &self.0;
        match inner.known_children(entity, foreign, id) {
            Some(records) => self.hit(records),
            None => {
                let read = inner.clone();
                let key = (entity, foreign, id);
                self.miss(inner.parents_asked.join(&inner.runtime, key, move || {
                    read.read_children(entity, foreign, id)
                }))
            }
        }
    }

    fn epoch(&self, entity: Name) -> Epoch {
        self.0.epochs.of(entity)
    }

    fn note_hits(&self, spared: u64) {
        self.0.hits.fetch_add(spared, Ordering::Relaxed);
    }
}

impl Inner {
    fn schema(&self, entity: &str) -> Option<&'static Schema> {
        self.catalog.get(entity)
    }

    /// Whether an answer can be given: what is there is there, what is not may be somewhere else.
    fn is_sure(&self, found: &Found) -> bool {
        found.is_some() || (self.is_current)()
    }

    /// The same for an answer of the store.
    fn surely(&self, found: Found) -> Result<Found, Unavailable> {
        if self.is_sure(&found) {
            return Ok(found);
        }
        Err(Unavailable(
            "the database, and this node's copy has no such record".to_owned(),
        ))
    }

    /// Forgets what a change of a record has made untrue.
    fn forget(&self, schema: &'static Schema, id: Uuid, record: Option<&Record>) {
        let name: Name = schema.name;
        self.by_id.invalidate(&(name, id));
        let Some(record) = record else {
            return;
        };
        for (field, _) in schema.unique_fields() {
            if let Some(value) = record.get(field).and_then(Value::as_str) {
                self.by_unique.invalidate(&(name, field, value.into()));
            }
        }
        for (field, _) in schema.foreign_fields() {
            if let Some(parent) = parent(record, field) {
                self.by_parent.invalidate(&(name, field, parent));
            }
        }
    }

    fn forget_all(&self) {
        self.by_id.invalidate_all();
        self.by_unique.invalidate_all();
        self.by_parent.invalidate_all();
    }

    /// Lets nobody join a read that began before a change.
    fn forget_flights(&self) {
        self.records_asked.0.lock().clear();
        self.values_asked.0.lock().clear();
        self.parents_asked.0.lock().clear();
    }

    /// What the cache knows of an id; the outer `None` is that it knows nothing.
    fn known(&self, entity: Name, id: Uuid) -> Option<Found> {
        let entry = self.by_id.get(&(entity, id))?;
        match entry.until {
            Some(until) if until <= self.clock.monotonic() => Some(None),
            _ => Some(entry.record),
        }
    }

    fn known_value(&self, entity: Name, field: Name, value: &str) -> Option<Found> {
        let Some(id) = self.by_unique.get(&(entity, field, value.into()))? else {
            return Some(None);
        };
        let record = self.known(entity, id)??;
        let holds = record.get(field).and_then(Value::as_str) == Some(value);
        holds.then_some(Some(record))
    }

    fn known_children(&self, entity: Name, foreign: Name, id: Uuid) -> Option<Arc<[Arc<Record>]>> {
        let ids = self.by_parent.get(&(entity, foreign, id))?;
        let mut records = Vec::with_capacity(ids.len());
        for child in ids.iter() {
            // What has gone, or has moved to another parent, is not one of them any more.
            if let Some(record) = self.known(entity, *child)?
                && parent(&record, foreign) == Some(id)
            {
                records.push(record);
            }
        }
        Some(records.into())
    }

    async fn warm(&self, schema: &'static Schema) -> Result<u64, Unavailable> {
        let epoch = self.epochs.of(schema.name);
        let key = schema.cache_key.first().and_then(|key| {
            let mut unique = schema.unique_fields();
            unique.find_map(|(field, _)| (field == *key).then_some(field))
        });
        let mut request = PageRequest {
            size: PageRequest::MAX_SIZE,
            ..PageRequest::default()
        };
        let mut read = 0;
        while self.by_id.weighted_size() < self.memory / 2 {
            let before = epoch.now();
            let page = self.store.page(schema, &request).await.map_err(failed)?;
            let records: Vec<_> = page.records.into_iter().map(Arc::new).collect();
            self.keep(&epoch, before, || {
                for record in &records {
                    let Some(id) = id_of(record) else { continue };
                    self.keep_record(schema.name, id, Some(record.clone()));
                    if let Some(field) = key
                        && let Some(value) = record.get(field).and_then(Value::as_str)
                    {
                        let key = (schema.name, field, value.into());
                        self.by_unique.insert(key, Some(id));
                    }
                }
            });
            read += records.len() as u64;
            self.by_id.run_pending_tasks();
            match page.offset {
                None => break,
                offset => request.offset = offset,
            }
        }
        Ok(read)
    }

    async fn read_id(self: Arc<Self>, entity: Name, id: Uuid) -> Result<Found, Unavailable> {
        let schema = self.schema(entity).ok_or_else(|| unknown(entity))?;
        let epoch = self.epochs.of(entity);
        let before = epoch.now();
        let record = self.store.get(schema, Key::Id(id)).await.map_err(failed)?;
        let record = self.surely(record.map(Arc::new))?;
        self.keep(&epoch, before, || {
            self.keep_record(entity, id, record.clone())
        });
        Ok(record)
    }

    async fn read_value(
        self: Arc<Self>,
        entity: Name,
        field: Name,
        value: Box<str>,
    ) -> Result<Found, Unavailable> {
        let schema = self.schema(entity).ok_or_else(|| unknown(entity))?;
        let epoch = self.epochs.of(entity);
        let before = epoch.now();
        let key = Key::Unique(field, &value);
        let record = self.store.get(schema, key).await.map_err(failed)?;
        let record = self.surely(record.map(Arc::new))?;
        let id = record.as_ref().and_then(|record| id_of(record));
        self.keep(&epoch, before, || {
            if let Some(id) = id {
                self.keep_record(entity, id, record.clone());
            }
            self.by_unique.insert((entity, field, value.clone()), id);
        });
        Ok(record)
    }

    async fn read_children(
        self: Arc<Self>,
        entity: Name,
        foreign: Name,
        id: Uuid,
    ) -> Result<Arc<[Arc<Record>]>, Unavailable> {
        let schema = self.schema(entity).ok_or_else(|| unknown(entity))?;
        let epoch = self.epochs.of(entity);
        let before = epoch.now();
        let mut records = Vec::new();
        let mut request = PageRequest {
            size: PageRequest::MAX_SIZE,
            foreign: Some((foreign, id)),
            ..PageRequest::default()
        };
        loop {
            let page = self.store.page(schema, &request).await.map_err(failed)?;
            records.extend(page.records.into_iter().map(Arc::new));
            match page.offset {
                None => break,
                offset => request.offset = offset,
            }
        }
        self.keep(&epoch, before, || {
            let ids: Vec<Uuid> = records.iter().filter_map(|record| id_of(record)).collect();
            for (id, record) in ids.iter().zip(&records) {
                self.keep_record(entity, *id, Some(record.clone()));
            }
            self.by_parent.insert((entity, foreign, id), ids.into());
        });
        Ok(records.into())
    }

    /// Keeps what was read unless something changed meanwhile, also between the check and the keeping.
    fn keep(&self, epoch: &Epoch, before: u64, keep: impl Fn()) {
        if epoch.now() != before {
            return;
        }
        keep();
        if epoch.now() != before {
            self.forget_all();
            epoch.advance();
        }
    }

    fn keep_record(&self, entity: Name, id: Uuid, record: Found) {
        let seconds = record
            .as_ref()
            .and_then(|record| record.get("ttl")?.as_u64());
        let until = seconds.map(|left| self.clock.monotonic() + Duration::from_secs(left));
        self.by_id.insert((entity, id), Entry { record, until });
    }
}

/// A cache of so many bytes.
fn bounded<K, V, S>(bytes: u64, weigh: fn(&K, &V) -> u32) -> Cache<K, V, S>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Default + Send + Sync + 'static,
{
    let cache = Cache::builder().max_capacity(bytes).weigher(weigh);
    cache.build_with_hasher(S::default())
}

fn id_of(record: &Record) -> Option<Uuid> {
    record.get("id")?.as_str()?.parse().ok()
}

fn parent(record: &Record, foreign: &str) -> Option<Uuid> {
    record.get(foreign)?.get("id")?.as_str()?.parse().ok()
}

fn unknown(entity: Name) -> Unavailable {
    Unavailable(format!("there is no entity {entity}"))
}

fn failed(error: store::Error) -> Unavailable {
    Unavailable(error.to_string())
}

/// Reads that are under way, so that nobody begins the same one twice.
struct Flights<K, T>(Arc<Mutex<HashMap<K, Flight<T>>>>);

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Joins the read of this key, or begins it on `runtime`, where it goes on even if everybody who waits goes away.
    fn join<F>(&self, runtime: &Handle, key: K, begin: impl FnOnce() -> F) -> Flight<T>
    where
        F: Future<Output = Result<T, Unavailable>> + Send + 'static,
    {
        let mut flights = self.0.lock();
        if let Some(flight) = flights.get(&key) {
            return flight.clone();
        }
        let (others, own) = (self.0.clone(), key.clone());
        let read = begin();
        let task = runtime.spawn(async move {
            let result = read.await;
            others.lock().remove(&own);
            result
        });
        let waiting =
            task.map(|done| done.unwrap_or_else(|error| Err(Unavailable(error.to_string()))));
        let waiting: BoxFuture<_> = Box::pin(waiting);
        let flight = waiting.shared();
        flights.insert(key, flight.clone());
        flight
    }
}

#[cfg(test)]
mod tests;
