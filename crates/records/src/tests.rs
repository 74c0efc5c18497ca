use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use plugin_api::{By, Lookup, Records, Unavailable};
use schema::{Record, Schema};
use serde_json::{Value, json};
use stdx::{Clock, ManualClock, SystemClock};
use store::{Catalog, Changes, Error, Key, Mutation, Page, PageRequest, Store, TagRow, Version};
use store_sqlite::SqliteStore;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{Epochs, RecordCache};

const ALICE: Uuid = Uuid::from_u128(1);
const BOB: Uuid = Uuid::from_u128(2);

/// A real store that counts how often it is read, waits at a gate, and can be out of reach.
struct Counted {
    store: SqliteStore,
    reads: AtomicUsize,
    gate: Semaphore,
    away: AtomicBool,
    /// Whether it is a copy whose origin is out of reach.
    cut_off: AtomicBool,
}

impl Counted {
    async fn read(&self) -> Result<(), Error> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let pass = self.gate.acquire().await;
        drop(pass);
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::Unavailable("gone".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Counted {
    fn kind(&self) -> &'static str {
        self.store.kind()
    }

    async fn get(&self, schema: &Schema, key: Key<'_>) -> Result<Option<Record>, Error> {
        let found = self.store.get(schema, key).await;
        self.read().await?;
        found
    }

    async fn page(&self, schema: &Schema, request: &PageRequest<'_>) -> Result<Page, Error> {
        let page = self.store.page(schema, request).await;
        self.read().await?;
        page
    }

    async fn commit(&self, mutations: &[Mutation<'_>]) -> Result<Version, Error> {
        self.store.commit(mutations).await
    }

    async fn tags(
        &self,
        tag: Option<&str>,
        request: &PageRequest<'_>,
    ) -> Result<(Vec<TagRow>, Option<String>), Error> {
        self.store.tags(tag, request).await
    }

    async fn version(&self) -> Result<Version, Error> {
        self.store.version().await
    }

    async fn changes(&self, since: Version) -> Result<Changes, Error> {
        self.store.changes(since).await
    }

    async fn changed(&self, since: Version) {
        self.store.changed(since).await;
    }

    async fn ping(&self) -> Result<(), Error> {
        self.store.ping().await
    }
}

struct Bench {
    store: Arc<Counted>,
    cache: RecordCache,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = store_sqlite::Options::default();
        let store =
            SqliteStore::open(&folder.path().join("db"), catalog(), options).expect("a store");
        let store = Arc::new(Counted {
            store,
            reads: AtomicUsize::new(0),
            gate: Semaphore::new(1),
            away: AtomicBool::default(),
            cut_off: AtomicBool::default(),
        });
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let runtime = tokio::runtime::Handle::current();
        let origin = store.clone();
        let is_current = Arc::new(move || !origin.cut_off.load(Ordering::SeqCst));
        let memory = 1 << 20;
        let cache = RecordCache::new(
            store.clone(),
            catalog(),
            is_current,
            memory,
            Epochs::default(),
            runtime,
            clock.clone(),
        );
        Self {
            store,
            cache,
            clock,
            _folder: folder,
        }
    }

    fn reads(&self) -> usize {
        self.store.reads.load(Ordering::SeqCst)
    }

    /// Writes a consumer, and tells the cache as the change feed would.
    async fn write(&self, id: Uuid, username: &str) {
        let record = consumer(id, username);
        let schema = catalog().get("consumers").expect("a schema");
        let write = [Mutation::Upsert(schema, record.clone())];
        self.store.commit(&write).await.expect("a commit");
        self.cache.changed("consumers", id, Some(&record));
    }

    async fn delete(&self, id: Uuid) {
        let schema = catalog().get("consumers").expect("a schema");
        let write = [Mutation::Delete(schema, id)];
        self.store.commit(&write).await.expect("a commit");
        self.cache.changed("consumers", id, None);
    }

    fn find(&self, username: &str) -> Lookup<Option<Arc<Record>>> {
        self.cache
            .find("consumers", By::Unique("username", username))
    }

    async fn id(&self, username: &str) -> Option<Uuid> {
        let found = self.find(username).get().await.expect("an answer");
        found.and_then(|record| record.get("id")?.as_str()?.parse().ok())
    }
}

fn catalog() -> Catalog {
    Catalog::new(entities::all())
}

fn consumer(id: Uuid, username: &str) -> Record {
    let record = json!({
        "id": id.to_string(), "username": username, "custom_id": null, "tags": null,
        "created_at": 1, "updated_at": 1,
    });
    record.as_object().cloned().expect("an object")
}

#[tokio::test]
async fn what_was_found_is_known_until_it_changes() {
    let bench = Bench::new();
    bench.write(ALICE, "alice").await;
    assert_eq!(bench.id("alice").await, Some(ALICE));
    assert_eq!(bench.id("alice").await, Some(ALICE));
    assert_eq!(bench.reads(), 1);
    let by_id = bench.cache.find("consumers", By::Id(ALICE));
    assert!(matches!(by_id, Lookup::Known(Some(_))));

    bench.write(ALICE, "alicia").await;
    assert_eq!(bench.id("alice").await, None);
    assert_eq!(bench.id("alicia").await, Some(ALICE));
    bench.delete(ALICE).await;
    assert_eq!(bench.id("alicia").await, None);
}

#[tokio::test]
async fn that_there_is_nothing_is_known_until_there_is_something() {
    let bench = Bench::new();
    assert_eq!(bench.id("bob").await, None);
    assert_eq!(bench.id("bob").await, None);
    assert_eq!(bench.reads(), 1);
    bench.write(ALICE, "alice").await;
    assert_eq!(bench.id("bob").await, None);
    assert_eq!(bench.reads(), 1, "another record changes nothing for bob");
    bench.write(BOB, "bob").await;
    assert_eq!(bench.id("bob").await, Some(BOB));
}

#[tokio::test]
async fn a_value_that_moves_to_another_record_leads_there() {
    let bench = Bench::new();
    bench.write(ALICE, "shared").await;
    assert_eq!(bench.id("shared").await, Some(ALICE));
    bench.write(ALICE, "alice").await;
    bench.write(BOB, "shared").await;
    assert_eq!(bench.id("shared").await, Some(BOB));
}

#[tokio::test]
async fn many_who_ask_at_once_ask_the_store_once() {
    let bench = Bench::new();
    bench.write(ALICE, "alice").await;
    let closed = bench.store.gate.acquire().await.expect("the gate");
    let asked: Vec<_> = (0..100).map(|_| bench.find("alice").get()).collect();
    drop(closed);
    for answer in asked {
        assert!(answer.await.expect("an answer").is_some());
    }
    assert_eq!(bench.reads(), 1);
}

#[tokio::test]
async fn a_read_that_a_change_overtook_is_neither_kept_nor_joined() {
    let bench = Bench::new();
    bench.write(ALICE, "alice").await;
    let closed = bench.store.gate.acquire().await.expect("the gate");
    let Lookup::Fetch(early) = bench.find("alice") else {
        panic!("nothing is known yet");
    };
    // The read has seen the old record once it waits at the gate.
    while bench.reads() == 0 {
        tokio::task::yield_now().await;
    }
    bench.delete(ALICE).await;
    let late = bench.find("alice");
    drop(closed);
    assert!(early.await.expect("an answer").is_some(), "it began before");
    assert!(late.get().await.expect("an answer").is_none());
    assert_eq!(bench.id("alice").await, None);
}

#[tokio::test]
async fn an_outage_is_an_error_and_is_not_remembered() {
    let bench = Bench::new();
    bench.write(ALICE, "alice").await;
    bench.store.away.store(true, Ordering::SeqCst);
    let answer = bench.find("alice").get().await;
    assert!(matches!(answer, Err(Unavailable(_))), "{answer:?}");
    bench.store.away.store(false, Ordering::SeqCst);
    assert_eq!(bench.id("alice").await, Some(ALICE));
}

#[tokio::test]
async fn the_children_of_a_record_follow_their_changes() {
    let bench = Bench::new();
    let schemas = catalog();
    let (upstreams, targets) = (
        schemas.get("upstreams").expect("a schema"),
        schemas.get("targets").expect("a schema"),
    );
    let upstream = record(json!({"id": ALICE.to_string(), "name": "u", "created_at": 1}));
    bench
        .store
        .commit(&[Mutation::Insert(upstreams, upstream)])
        .await
        .expect("a commit");
    let names = async || {
        let children = bench.cache.children("targets", "upstream", ALICE);
        let children = children.get().await.expect("an answer");
        let names = children
            .iter()
            .filter_map(|child| child.get("target")?.as_str());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(names().await.is_empty());
    for (number, name) in [(10, "a:1"), (11, "b:1")] {
        let id = Uuid::from_u128(number);
        let target = record(json!({
            "id": id.to_string(), "target": name, "weight": 1, "upstream": {"id": ALICE.to_string()},
            "created_at": 1.0, "updated_at": 1.0,
        }));
        let write = [Mutation::Insert(targets, target.clone())];
        bench.store.commit(&write).await.expect("a commit");
        bench.cache.changed("targets", id, Some(&target));
    }
    let mut both = names().await;
    both.sort();
    assert_eq!(both, ["a:1", "b:1"]);
    let reads = bench.reads();
    assert_eq!(names().await.len(), 2);
    assert_eq!(bench.reads(), reads);

    let gone = Uuid::from_u128(10);
    let write = [Mutation::Delete(targets, gone)];
    bench.store.commit(&write).await.expect("a commit");
    bench.cache.changed("targets", gone, None);
    assert_eq!(names().await, ["b:1"]);
}

#[tokio::test]
async fn a_record_is_gone_when_its_time_is_over() {
    let bench = Bench::new();
    let inner = &bench.cache.0;
    let mut passing = consumer(ALICE, "alice");
    passing.insert("ttl".to_owned(), json!(10));
    inner.keep_record("consumers", ALICE, Some(Arc::new(passing)));
    let known = || inner.known("consumers", ALICE).expect("something known");
    assert!(known().is_some());
    bench.clock.advance(std::time::Duration::from_secs(11));
    assert!(known().is_none());
}

fn record(value: Value) -> Record {
    value.as_object().cloned().expect("an object")
}

#[tokio::test]
async fn what_a_copy_does_not_know_is_unknown_while_its_origin_is_away() {
    let bench = Bench::new();
    bench.write(ALICE, "alice").await;
    assert_eq!(bench.id("nobody").await, None);
    let cut_off = |is: bool| bench.store.cut_off.store(is, Ordering::SeqCst);
    cut_off(true);
    for unknown in ["nobody", "bob"] {
        let answer = bench.find(unknown).get().await;
        assert!(
            matches!(answer, Err(Unavailable(_))),
            "{unknown}: {answer:?}"
        );
    }
    let by_id = bench.cache.find("consumers", By::Id(BOB)).get().await;
    assert!(matches!(by_id, Err(Unavailable(_))));
    assert_eq!(
        bench.id("alice").await,
        Some(ALICE),
        "what is there is there"
    );
    cut_off(false);
    assert_eq!(bench.id("bob").await, None);
}

#[tokio::test]
async fn memory_is_bounded_whatever_is_asked_for() {
    let bench = Bench::new();
    for number in 0..3000_u128 {
        let name = format!("{number}-{}", "x".repeat(500));
        let known = consumer(Uuid::from_u128(number), &name);
        bench
            .cache
            .0
            .keep_record("consumers", Uuid::from_u128(number), Some(Arc::new(known)));
        assert_eq!(bench.id(&name).await, None);
    }
    bench.cache.0.by_id.run_pending_tasks();
    bench.cache.0.by_unique.run_pending_tasks();
    let figures = bench.cache.figures();
    assert!(
        figures.bytes <= 1 << 20 && figures.entries > 500,
        "{figures:?}"
    );
}

#[tokio::test]
async fn a_warm_cache_knows_before_anybody_asks() {
    let bench = Bench::new();
    for number in 1..=5 {
        let name = format!("consumer-{number}");
        bench.write(Uuid::from_u128(number), &name).await;
    }
    let wanted = ["consumers".to_owned(), "unicorns".to_owned()];
    assert_eq!(bench.cache.warm(&wanted).await.expect("a store"), 5);
    let reads = bench.reads();
    let by_id = bench.cache.find("consumers", By::Id(Uuid::from_u128(3)));
    assert!(matches!(by_id, Lookup::Known(Some(_))));
    assert_eq!(bench.reads(), reads);
    bench.delete(Uuid::from_u128(3)).await;
    assert_eq!(bench.id("consumer-3").await, None);
}

#[tokio::test]
async fn an_epoch_advances_with_changes_of_its_entity_and_when_anything_may_have_changed() {
    let bench = Bench::new();
    let [consumers, targets] = ["consumers", "targets"].map(|entity| bench.cache.epoch(entity));
    let (before, others) = (consumers.now(), targets.now());
    assert_eq!(bench.id("alice").await, None);
    assert_eq!(consumers.now(), before, "reading changes nothing");
    bench.write(ALICE, "alice").await;
    assert!(consumers.now() > before);
    assert_eq!(targets.now(), others);
    let before = consumers.now();
    bench.cache.clear();
    assert!(consumers.now() > before && targets.now() > others);
}

/// Whoever keeps what was made of a record does as `plugin_api::Epoch` says, while the record changes all the time: what
/// is used is never older than the last change that had come through before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_made_of_a_record_never_outlives_a_change() {
    const CHANGES: usize = 300;
    let bench = Arc::new(Bench::new());
    let name = |record: &Record| {
        let name = record.get("username").and_then(Value::as_str);
        name.and_then(|name| name.parse::<usize>().ok())
            .expect("a number")
    };
    bench.write(ALICE, "0").await;
    let come_through = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (bench, come_through) = (bench.clone(), come_through.clone());
            let epoch = bench.cache.epoch("consumers");
            tokio::spawn(async move {
                let mut kept = None;
                loop {
                    let least = come_through.load(Ordering::SeqCst);
                    let now = epoch.now();
                    if let Some((stamp, made)) = kept
                        && stamp == now
                    {
                        assert!(made >= least, "{made} was used after {least}");
                    } else {
                        let found = bench.cache.find("consumers", By::Id(ALICE)).get().await;
                        let record = found.expect("a store").expect("a consumer");
                        kept = Some((now, name(&record)));
                    }
                    if least == CHANGES {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for change in 1..=CHANGES {
        bench.write(ALICE, &change.to_string()).await;
        come_through.store(change, Ordering::SeqCst);
    }
    for reader in readers {
        reader.await.expect("a reader");
    }
}
