//! A shared store that can go away, be emptied and be shared, and a data plane that shows what it was given.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use schema::{Field, Record, Schema};
use stdx::SystemClock;
use store::bulk::Sink;
use store::{
    Catalog, Change, Changes, Digests, Error, Key, Mutation, Page, PageRequest, Peer, Peers,
    Replica, Store, TagRow, Version, Word,
};
use store_sqlite::{Options, SqliteStore};
use tempfile::TempDir;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::{Cluster, Parts, Publish, Timing, Words};

static SCHEMAS: LazyLock<Vec<Schema>> = LazyLock::new(|| {
    let things = Schema::new("things", "Things.")
        .field_as("id", Field::id())
        .field_as("name", Field::string("A name.").unique());
    let parts = Schema::new("parts", "Parts.")
        .field_as("id", Field::id())
        .field_as("name", Field::string("A name."));
    vec![things, parts]
});

pub(crate) fn catalog() -> Catalog {
    Catalog::new(&SCHEMAS)
}

pub(crate) fn schema(name: &str) -> &'static Schema {
    catalog().get(name).unwrap()
}

pub(crate) fn record(number: u128, name: &str) -> Record {
    let mut record = Record::new();
    record.insert("id".to_owned(), id(number).to_string().into());
    record.insert("name".to_owned(), name.into());
    record
}

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Short periods, for tests that wait for what happens.
pub(crate) const QUICK: Timing = Timing {
    patience: Duration::from_millis(300),
    read: Duration::from_millis(100),
    poll: Duration::from_millis(50),
    retry: (Duration::from_millis(5), Duration::from_millis(20)),
    replica_retry: Duration::from_millis(50),
    compare: (Duration::from_millis(20), Duration::from_millis(50)),
    comparison: Duration::from_millis(20),
    doubt: Duration::from_millis(20),
    belief: Duration::from_secs(3600),
    heartbeat: Duration::from_millis(20),
    alive: Duration::from_secs(3600),
    forget: Duration::from_secs(24 * 3600),
};

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let tries = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), tries).await;
    ended.unwrap_or_else(|_| panic!("never: {what}"));
}

/// The store of a cluster, as far as one process can have it.
pub(crate) struct Shared {
    folder: TempDir,
    inner: RwLock<Arc<SqliteStore>>,
    stores: AtomicU64,
    is_down: AtomicBool,
    is_hanging: AtomicBool,
    is_incomparable: AtomicBool,
    pub(crate) register: Register,
}

impl Shared {
    pub(crate) fn new() -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let inner = open(&folder.path().join("0.db"));
        Arc::new(Self {
            folder,
            inner: RwLock::new(inner),
            stores: AtomicU64::new(1),
            is_down: AtomicBool::new(false),
            is_hanging: AtomicBool::new(false),
            is_incomparable: AtomicBool::new(false),
            register: Register::default(),
        })
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
        self.register.away.store(is_down, Ordering::SeqCst);
    }

    /// Whether reading a record never ends.
    pub(crate) fn set_hanging(&self, is_hanging: bool) {
        self.is_hanging.store(is_hanging, Ordering::SeqCst);
    }

    /// Whether reading digests never ends.
    pub(crate) fn set_incomparable(&self, is_incomparable: bool) {
        self.is_incomparable
            .store(is_incomparable, Ordering::SeqCst);
    }

    /// Puts a new and empty database in the place of the one there is; the one there was can be put back.
    pub(crate) fn empty(&self) -> Arc<SqliteStore> {
        let number = self.stores.fetch_add(1, Ordering::SeqCst);
        let path = self.folder.path().join(format!("{number}.db"));
        self.put(open(&path))
    }

    pub(crate) fn put(&self, store: Arc<SqliteStore>) -> Arc<SqliteStore> {
        std::mem::replace(&mut *self.inner.write(), store)
    }

    /// Writes a record, whether the store is away or not.
    pub(crate) async fn write(&self, entity: &str, number: u128, name: &str) -> Version {
        let upsert = Mutation::Upsert(schema(entity), record(number, name));
        let inner = Arc::clone(&self.inner.read());
        inner.commit(&[upsert]).await.unwrap()
    }

    pub(crate) async fn delete(&self, entity: &str, number: u128) -> Version {
        let delete = Mutation::Delete(schema(entity), id(number));
        let inner = Arc::clone(&self.inner.read());
        inner.commit(&[delete]).await.unwrap()
    }

    fn reach(&self) -> Result<Arc<SqliteStore>, Error> {
        match self.is_down.load(Ordering::SeqCst) {
            true => Err(Error::Unavailable("it is down".to_owned())),
            false => Ok(Arc::clone(&self.inner.read())),
        }
    }
}

fn open(path: &Path) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(path, catalog(), Options::default()).unwrap())
}

#[async_trait]
impl Store for Shared {
    fn kind(&self) -> &'static str {
        "shared"
    }

    async fn get(&self, schema: &Schema, key: Key<'_>) -> Result<Option<Record>, Error> {
        if self.is_hanging.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.reach()?.get(schema, key).await
    }

    async fn page(&self, schema: &Schema, request: &PageRequest<'_>) -> Result<Page, Error> {
        self.reach()?.page(schema, request).await
    }

    async fn commit(&self, mutations: &[Mutation<'_>]) -> Result<Version, Error> {
        self.reach()?.commit(mutations).await
    }

    async fn tags(
        &self,
        tag: Option<&str>,
        request: &PageRequest<'_>,
    ) -> Result<(Vec<TagRow>, Option<String>), Error> {
        self.reach()?.tags(tag, request).await
    }

    async fn version(&self) -> Result<Version, Error> {
        self.reach()?.version().await
    }

    async fn changes(&self, since: Version) -> Result<Changes, Error> {
        self.reach()?.changes(since).await
    }

    async fn changed(&self, since: Version) {
        match self.reach() {
            Ok(inner) => inner.changed(since).await,
            Err(_) => std::future::pending().await,
        }
    }

    async fn ping(&self) -> Result<(), Error> {
        self.reach()?.ping().await
    }

    async fn digests(&self, schemas: &[&Schema]) -> Result<(Version, Digests), Error> {
        if self.is_incomparable.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.reach()?.digests(schemas).await
    }

    async fn read_all(
        &self,
        schemas: &[&'static Schema],
        sink: &mut dyn Sink,
    ) -> Result<Version, Error> {
        self.reach()?.read_all(schemas, sink).await
    }

    fn peers(&self) -> Option<&dyn Peers> {
        Some(&self.register)
    }
}

/// A register in memory.
pub(crate) struct Register {
    pub(crate) rows: Mutex<BTreeMap<Uuid, Peer>>,
    called: watch::Sender<Version>,
    heard: Notify,
    /// What this node told.
    pub(crate) said: Mutex<Vec<Word>>,
    /// What the others tell.
    pub(crate) others: Mutex<Vec<Word>>,
    pub(crate) channels: Mutex<Vec<String>>,
    away: AtomicBool,
}

impl Default for Register {
    fn default() -> Self {
        Self {
            rows: Mutex::default(),
            called: watch::channel(Version::default()).0,
            heard: Notify::new(),
            said: Mutex::default(),
            others: Mutex::default(),
            channels: Mutex::default(),
            away: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl Peers for Register {
    async fn report(&self, own: &Peer, loud: bool) -> Result<(), Error> {
        let mut row = own.clone();
        row.last_seen = now();
        self.rows.lock().insert(own.id, row);
        if loud {
            self.heard.notify_waiters();
        }
        Ok(())
    }

    async fn list(&self) -> Result<(Vec<Peer>, SystemTime), Error> {
        Ok((self.rows.lock().values().cloned().collect(), now()))
    }

    async fn forget(&self, id: Uuid) -> Result<(), Error> {
        self.rows.lock().remove(&id);
        Ok(())
    }

    async fn call_roll(&self, version: Version) -> Result<(), Error> {
        self.called.send_replace(version);
        Ok(())
    }

    async fn roll_called(&self, beyond: Version) -> Version {
        let mut called = self.called.subscribe();
        *called.wait_for(|version| *version > beyond).await.unwrap()
    }

    fn reported<'a, 'f>(&'a self) -> Pin<Box<dyn Future<Output = ()> + Send + 'f>>
    where
        'a: 'f,
        Self: 'f,
    {
        Box::pin(self.heard.notified())
    }

    async fn tell(&self, word: &Word) -> Result<(), Error> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::Unavailable("a test took it away".to_owned()));
        }
        self.said.lock().push(word.clone());
        Ok(())
    }

    fn listen(&self, channel: &str) {
        self.channels.lock().push(channel.to_owned());
    }

    async fn told(&self) -> Vec<Word> {
        loop {
            let words = std::mem::take(&mut *self.others.lock());
            if !words.is_empty() {
                return words;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

pub(crate) fn now() -> SystemTime {
    use stdx::Clock as _;
    SystemClock.now()
}

/// A data plane that serves names.
#[derive(Default)]
pub(crate) struct DataPlane {
    pub(crate) served: Mutex<BTreeMap<(String, Uuid), String>>,
    /// Whether it refuses what it is given.
    pub(crate) refuses: AtomicBool,
    version: AtomicU64,
}

impl DataPlane {
    pub(crate) fn name_of(&self, entity: &str, number: u128) -> Option<String> {
        let key = (entity.to_owned(), id(number));
        self.served.lock().get(&key).cloned()
    }

    fn refuse(&self) -> Result<(), crate::Error> {
        match self.refuses.load(Ordering::SeqCst) {
            true => Err(crate::Error::Publish("it refuses".to_owned())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Publish for DataPlane {
    fn wants(&self, _: &str) -> bool {
        true
    }

    async fn load(&self, source: &dyn Store, at_least: Version) -> Result<Version, crate::Error> {
        self.refuse()?;
        let version = source.version().await?.max(at_least);
        let mut served = BTreeMap::new();
        for schema in catalog().parents_first() {
            let request = PageRequest {
                size: PageRequest::MAX_SIZE,
                ..PageRequest::default()
            };
            for record in source.page(schema, &request).await?.records {
                let id = Uuid::parse_str(record["id"].as_str().unwrap()).unwrap();
                let name = record["name"].as_str().unwrap().to_owned();
                served.insert((schema.name.to_owned(), id), name);
            }
        }
        *self.served.lock() = served;
        self.version.store(version.0, Ordering::SeqCst);
        Ok(version)
    }

    async fn apply(&self, changes: Arc<Vec<Change>>, until: Version) -> Result<(), crate::Error> {
        self.refuse()?;
        let mut served = self.served.lock();
        for change in changes.iter() {
            let key = (change.schema.name.to_owned(), change.id);
            match &change.record {
                Some(record) => {
                    served.insert(key, record["name"].as_str().unwrap().to_owned());
                }
                None => {
                    served.remove(&key);
                }
            }
        }
        self.version.store(until.0, Ordering::SeqCst);
        Ok(())
    }
}

/// A node with a folder of its own.
pub(crate) struct Node {
    pub(crate) data_plane: Arc<DataPlane>,
    pub(crate) replica: Option<Arc<dyn Replica>>,
    pub(crate) cluster: Cluster,
    pub(crate) words: Arc<Words>,
}

impl Node {
    /// Starts with a replica in this file.
    pub(crate) async fn start(shared: &Arc<Shared>, file: &Path) -> Self {
        Self::start_with(shared, Some(replica(file)), QUICK).await
    }

    pub(crate) async fn start_with(
        shared: &Arc<Shared>,
        replica: Option<Arc<dyn Replica>>,
        timing: Timing,
    ) -> Self {
        let data_plane = Arc::new(DataPlane::default());
        let words = Arc::new(Words::default());
        let cluster = Cluster::start(Parts {
            store: Arc::clone(shared) as Arc<dyn Store>,
            replica: replica.clone(),
            catalog: catalog(),
            publish: Arc::clone(&data_plane) as Arc<dyn Publish>,
            clock: Arc::new(SystemClock),
            timing,
            words: Arc::clone(&words),
        })
        .await;
        Self {
            data_plane,
            replica,
            cluster,
            words,
        }
    }

    pub(crate) async fn serves(&self, entity: &str, number: u128, name: Option<&str>) {
        let expected = name.map(str::to_owned);
        eventually(&format!("{entity} {number} is {name:?}"), async || {
            self.data_plane.name_of(entity, number) == expected
        })
        .await;
    }
}

pub(crate) fn replica(file: &Path) -> Arc<dyn Replica> {
    let clock = Arc::new(SystemClock);
    let opened = store_sqlite::Replica::open(file, &catalog(), clock, "here");
    Arc::new(opened.unwrap())
}
