//! Backups of real stores: whole, refused when they are not, and the same when they come back.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backup::{Backup, Error, Target, Written, entities};
use schema::{Field, Record, Schema};
use serde_json::{Value, json};
use stdx::ManualClock;
use store::{Catalog, Key, Mutation, PageRequest, Store};
use store_sqlite::{Options, SqliteStore};
use uuid::Uuid;

const START: u64 = 1_763_862_000;

/// A folder, a clock and stores in files.
struct Place {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    catalog: Catalog,
}

impl Place {
    fn new() -> Self {
        Self::with(Catalog::new(entities::all()))
    }

    fn with(catalog: Catalog) -> Self {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(START);
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::at(start)),
            catalog,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self, name: &str) -> Arc<SqliteStore> {
        let options = Options {
            clock: self.clock.clone(),
            ..Options::default()
        };
        let store = SqliteStore::open(&self.path(name), self.catalog.clone(), options);
        Arc::new(store.unwrap())
    }

    fn schema(&self, entity: &str) -> &'static Schema {
        self.catalog.get(entity).unwrap()
    }

    async fn back_up(&self, store: &SqliteStore, target: Target<'_>) -> Result<Written, Error> {
        backup::write(store, &self.catalog, self.clock.as_ref(), "1.2.3", target).await
    }

    /// A new file from a store.
    async fn back_up_to(&self, store: &SqliteStore, name: &str) -> PathBuf {
        let path = self.path(name);
        let target = Target::File {
            path: &path,
            replace: false,
        };
        self.back_up(store, target).await.unwrap().path
    }

    async fn restore(&self, path: &Path, store: &SqliteStore) -> Result<(), Error> {
        let now = stdx::Clock::unix_seconds(self.clock.as_ref());
        let restored = Backup::open(path)?.restore(store, &self.catalog, now).await;
        restored.map(drop)
    }

    async fn content(&self, store: &SqliteStore) -> Vec<(&'static str, Record)> {
        let mut content = Vec::new();
        for schema in entities(&self.catalog) {
            content.extend(
                all(store, schema)
                    .await
                    .into_iter()
                    .map(|r| (schema.name, r)),
            );
        }
        content
    }
}

async fn all(store: &SqliteStore, schema: &Schema) -> Vec<Record> {
    let mut request = PageRequest {
        size: PageRequest::MAX_SIZE,
        ..PageRequest::default()
    };
    let mut records = Vec::new();
    loop {
        let page = store.page(schema, &request).await.unwrap();
        records.extend(page.records);
        match page.offset {
            None => return records,
            offset => request.offset = offset,
        }
    }
}

fn record(fields: Value) -> Record {
    let Value::Object(mut record) = fields else {
        return Record::new();
    };
    let id = Uuid::new_v4().to_string();
    record.entry("id").or_insert(id.into());
    record
}

fn consumer(number: usize) -> Record {
    record(json!({
        "username": format!("consumer {number} ✓"),
        "custom_id": format!("{number:0>300}"),
        "tags": ["b", "a", "größe"],
        "created_at": 1_600_000_000 + number,
        "updated_at": 1_600_000_001,
    }))
}

/// Services with routes, and more consumers than a page has.
async fn fill(place: &Place, store: &SqliteStore) {
    let mut mutations = Vec::new();
    for number in 0..3 {
        let service = record(json!({
            "name": format!("service{number}"), "host": "a.test", "port": 80, "protocol": "http",
            "retries": 5, "enabled": true, "created_at": 1_600_000_000, "updated_at": 1_600_000_000,
        }));
        let route = record(json!({
            "service": { "id": service["id"] }, "paths": ["/a", "~/b\\d+"], "headers": { "x": ["1"] },
            "protocols": ["http", "https"], "created_at": 1, "updated_at": 2,
        }));
        mutations.push(Mutation::Insert(place.schema("services"), service));
        mutations.push(Mutation::Insert(place.schema("routes"), route));
    }
    for number in 0..1100 {
        mutations.push(Mutation::Insert(
            place.schema("consumers"),
            consumer(number),
        ));
    }
    store.commit(&mutations).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_comes_back_as_it_was_in_place_of_what_was_there() {
    let place = Place::new();
    let store = place.store("store");
    fill(&place, &store).await;
    let path = place.back_up_to(&store, "one.backup").await;
    let backup = Backup::open(&path).unwrap();
    assert_eq!(backup.footer().records(), 1106);
    assert_eq!(backup.header().store, "sqlite");
    assert_eq!(backup.header().program, "1.2.3");
    assert_eq!(backup.taken_at().to_string(), "2025-11-23T01:40:00Z");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let other = place.store("other");
    let stray = record(json!({ "username": "stray", "created_at": 1, "updated_at": 1 }));
    let stray = Mutation::Insert(place.schema("consumers"), stray);
    other.commit(&[stray]).await.unwrap();
    place.restore(&path, &other).await.unwrap();
    assert_eq!(place.content(&other).await, place.content(&store).await);
    // Once more, over what is the same already.
    place.restore(&path, &other).await.unwrap();
    assert_eq!(place.content(&other).await, place.content(&store).await);

    backup
        .verify(place.store("scratch").as_ref(), &place.catalog)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_one_state_while_others_write() {
    let place = Place::new();
    let store = place.store("store");
    fill(&place, &store).await;
    let writing = Arc::clone(&store);
    let consumers = place.schema("consumers");
    let services = place.schema("services");
    let writer = tokio::spawn(async move {
        // A service and a consumer with the same name come together, so one without the other was not one state.
        for number in 0.. {
            let name = format!("pair{number}");
            let both = [
                Mutation::Insert(
                    services,
                    record(
                        json!({ "name": name, "host": "h", "port": 1, "protocol": "http",
                        "retries": 1, "enabled": true, "created_at": 1, "updated_at": 1 }),
                    ),
                ),
                Mutation::Insert(
                    consumers,
                    record(json!({ "username": name, "created_at": 1, "updated_at": 1 })),
                ),
            ];
            writing.commit(&both).await.unwrap();
        }
    });
    for round in 0..5 {
        let path = place.back_up_to(&store, &format!("{round}.backup")).await;
        let copy = place.store(&format!("copy{round}"));
        place.restore(&path, &copy).await.unwrap();
        let names = |records: Vec<Record>, field: &str| {
            let mut names: Vec<_> = records
                .iter()
                .filter_map(|record| record[field].as_str().map(str::to_owned))
                .filter(|name| name.starts_with("pair"))
                .collect();
            names.sort();
            names
        };
        let of_services = names(all(&copy, services).await, "name");
        assert_eq!(of_services, names(all(&copy, consumers).await, "username"));
    }
    writer.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_a_whole_backup_is_refused_and_changes_nothing() {
    let place = Place::new();
    let store = place.store("store");
    let few: Vec<_> = (0..5)
        .map(|n| Mutation::Insert(place.schema("consumers"), consumer(n)))
        .collect();
    store.commit(&few).await.unwrap();
    let path = place.back_up_to(&store, "one.backup").await;
    let whole = fs::read(&path).unwrap();
    let target = place.store("target");
    fill(&place, &target).await;
    let before = (
        target.version().await.unwrap(),
        place.content(&target).await,
    );

    let mut wrong = Vec::new();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        wrong.push(flipped);
        wrong.push(whole[..at].to_vec());
    }
    wrong.push([whole.as_slice(), b"\0"].concat());
    wrong.push([whole.as_slice(), &whole].concat());
    wrong.push(b"PGDMP\x01\x0e".to_vec());
    let damaged = place.path("damaged.backup");
    for bytes in wrong {
        fs::write(&damaged, &bytes).unwrap();
        let error = place.restore(&damaged, &target).await.unwrap_err();
        let refused = matches!(
            error,
            Error::Foreign(_)
                | Error::Newer { .. }
                | Error::CutShort { .. }
                | Error::Damaged { .. }
        );
        assert!(refused, "{error}");
        let text = error.to_string();
        assert!(text.starts_with(&damaged.display().to_string()), "{text}");
    }
    let after = (
        target.version().await.unwrap(),
        place.content(&target).await,
    );
    assert_eq!(after, before);

    let says = |bytes: &[u8]| {
        fs::write(&damaged, bytes).unwrap();
        Backup::open(&damaged).unwrap_err().to_string()
    };
    assert!(says(&whole[..whole.len() - 1]).contains("is cut short"));
    assert!(says(b"hello").contains("is not a backup of Silverback"));
    assert!(says(b"").contains("is not a backup of Silverback"));
    assert!(says(b"silverback-backup 2 new\n").contains("by a newer version"));
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(says(&flipped).contains("is damaged"));
    assert!(
        Backup::open(&place.path("none"))
            .unwrap_err()
            .to_string()
            .contains("cannot read")
    );
}

/// Declarations that could be those of another version of the program.
fn declared(more: bool) -> Catalog {
    let text = || Field::string("Text.");
    let mut things = Schema::new("things", "Things.")
        .field_as("id", Field::id())
        .field_as("name", text().unique());
    let mut tokens = Schema::new("tokens", "Expire.")
        .field_as("id", Field::id())
        .field_as("thing", Field::foreign_to("The thing.", "things"));
    tokens.ttl = true;
    if more {
        things = things.field_as("colour", text());
    }
    Catalog::new(Vec::leak(vec![tokens, things]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expires_keeps_its_moment() {
    let place = Place::with(declared(false));
    let store = place.store("store");
    let thing = record(json!({ "name": "thing" }));
    let token = |ttl: Option<u64>| {
        let mut token = record(json!({ "thing": { "id": thing["id"] } }));
        token.extend(ttl.map(|ttl| ("ttl".to_owned(), ttl.into())));
        token
    };
    let [short, long, for_ever] = [token(Some(10)), token(Some(1000)), token(None)];
    let tokens = place.schema("tokens");
    let mut mutations = vec![Mutation::Insert(place.schema("things"), thing.clone())];
    let all = [&short, &long, &for_ever];
    mutations.extend(all.map(|token| Mutation::Insert(tokens, token.clone())));
    store.commit(&mutations).await.unwrap();
    let path = place.back_up_to(&store, "one.backup").await;

    place.clock.advance(Duration::from_secs(100));
    let copy = place.store("copy");
    place.restore(&path, &copy).await.unwrap();
    let ttl = async |token: &Record| {
        let id = Uuid::parse_str(token["id"].as_str().unwrap()).unwrap();
        let found = copy.get(tokens, Key::Id(id)).await.unwrap();
        found.map(|found| found.get("ttl").cloned())
    };
    assert_eq!(ttl(&short).await, None);
    assert_eq!(ttl(&long).await, Some(Some(900.into())));
    assert_eq!(ttl(&for_ever).await, Some(None));

    // A test that comes later still finds everything that was written.
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(START);
    let options = Options {
        clock: Arc::new(ManualClock::at(then)),
        ..Options::default()
    };
    let scratch = SqliteStore::open(&place.path("scratch"), place.catalog.clone(), options);
    let backup = Backup::open(&path).unwrap();
    backup
        .verify(&scratch.unwrap(), &place.catalog)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_this_program_does_not_know_is_refused_by_name() {
    let newer = Place::with(declared(true));
    let store = newer.store("store");
    let thing = record(json!({ "name": "thing", "colour": "red" }));
    let thing = Mutation::Insert(newer.schema("things"), thing);
    store.commit(&[thing]).await.unwrap();
    let path = newer.back_up_to(&store, "one.backup").await;

    let older = Place::with(declared(false));
    let target = older.store("target");
    let error = older.restore(&path, &target).await.unwrap_err();
    assert!(
        error.to_string().contains("the field colour of things"),
        "{error}"
    );
    let other = Place::new();
    let target = other.store("target");
    let error = other.restore(&path, &target).await.unwrap_err();
    assert!(error.to_string().contains("the entity things"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_folder_have_names_of_their_own() {
    let place = Place::new();
    let store = place.store("store");
    fs::create_dir(place.path("backups")).unwrap();
    let folder = place.path("backups");
    fs::write(folder.join(".silverback-left.partial"), "half").unwrap();
    for _ in 0..3 {
        place
            .back_up(&store, Target::Folder(&folder))
            .await
            .unwrap();
    }
    place.clock.advance(Duration::from_secs(1));
    place
        .back_up(&store, Target::Folder(&folder))
        .await
        .unwrap();
    let listed = backup::folder::list(&folder).unwrap();
    let names: Vec<_> = listed
        .iter()
        .map(|path| path.file_name().unwrap())
        .collect();
    let expected = [
        "silverback-20251123T014000Z.backup",
        "silverback-20251123T014000Z-2.backup",
        "silverback-20251123T014000Z-3.backup",
        "silverback-20251123T014001Z.backup",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        4,
        "nothing else stays"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_there_is_replaced_only_on_demand_and_only_by_a_whole_one() {
    let place = Place::new();
    let store = place.store("store");
    let path = place.path("one.backup");
    fs::write(&path, "precious").unwrap();
    let target = |replace| Target::File {
        path: &path,
        replace,
    };
    let error = place.back_up(&store, target(false)).await.unwrap_err();
    assert!(matches!(error, Error::Exists(_)), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");

    // A store that fails half-way ends the backup.
    let broken = place.store("broken");
    fill(&place, &broken).await;
    let shell = rusqlite::Connection::open(place.path("broken")).unwrap();
    shell.execute_batch("DROP TABLE consumers").unwrap();
    let error = place.back_up(&broken, target(true)).await.unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");

    place.back_up(&store, target(true)).await.unwrap();
    Backup::open(&path).unwrap();
    let partial = |entry: fs::DirEntry| entry.file_name().to_string_lossy().ends_with(".partial");
    let mut entries = fs::read_dir(place.folder.path()).unwrap();
    assert!(!entries.any(|entry| partial(entry.unwrap())));
}
