//! A process that is killed at any instant has lost nothing that it had acknowledged.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use schema::{Field, Record, Schema};
use serde_json::Value;
use store::{Catalog, Changes, Key, Mutation, Store as _, Version};
use store_sqlite::{Options, SqliteStore};
use uuid::Uuid;

/// Tells the test binary that it is the child, and where the file is.
const CHILD: &str = "STORE_SQLITE_CRASH_TEST";

/// Acknowledgements to wait for before each kill; the kill itself falls between any two instructions.
const ROUNDS: [usize; 4] = [1, 7, 40, 150];

fn schemas() -> &'static [Schema] {
    static SCHEMAS: std::sync::LazyLock<Vec<Schema>> = std::sync::LazyLock::new(|| {
        let things = Schema::new(
            "things",
            "Has a partner that is written in the same commit.",
        )
        .field_as("id", Field::id())
        .field_as("name", Field::string("A name.").unique())
        .field_as("partner", Field::string("The other's id."));
        vec![things]
    });
    &SCHEMAS
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Catalog::new(schemas()), Options::default()).unwrap()
}

fn pair() -> [Record; 2] {
    let ids = [Uuid::new_v4().to_string(), Uuid::new_v4().to_string()];
    [0, 1].map(|n: usize| {
        let id = Value::from(ids[n].as_str());
        let partner = Value::from(ids[1 - n].as_str());
        Record::from_iter([
            ("id".into(), id.clone()),
            ("name".into(), id),
            ("partner".into(), partner),
        ])
    })
}

/// Writes pairs from several tasks until the process is killed.
fn be_the_child(path: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Arc::new(open(path));
        let writers: Vec<_> = (0..4)
            .map(|_| tokio::spawn(write_pairs(Arc::clone(&store))))
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

/// Prints each pair's first id once it is acknowledged.
async fn write_pairs(store: Arc<SqliteStore>) {
    loop {
        let records = pair();
        let mutations = records
            .clone()
            .map(|record| Mutation::Insert(&schemas()[0], record));
        store.commit(&mutations).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "wrote {}", records[0]["id"].as_str().unwrap()).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    if let Some(path) = std::env::var_os(CHILD) {
        return be_the_child(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut acknowledged = Vec::new();
    for wait_for in ROUNDS {
        acknowledged.extend(write_until_killed(&path, wait_for));
        runtime.block_on(check(&path, &acknowledged));
    }
}

/// Runs this test as a child, kills it after some acknowledgements, and returns all that it gave.
fn write_until_killed(path: &Path, wait_for: usize) -> Vec<Uuid> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "nothing_acknowledged_is_lost_when_the_process_is_killed",
        ])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ids = lines.map_while(Result::ok).filter_map(|line| {
        let (_, id) = line.split_once("wrote ")?;
        Uuid::parse_str(id).ok()
    });
    let mut acknowledged: Vec<_> = ids.by_ref().take(wait_for).collect();
    assert_eq!(
        acknowledged.len(),
        wait_for,
        "the child writes until it is killed"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    // What it had still said before it died counts as well.
    acknowledged.extend(ids);
    acknowledged
}

/// Every acknowledged record is there with its partner, no commit is there by half, and the change log knows them all.
async fn check(path: &Path, acknowledged: &[Uuid]) {
    let store = open(path);
    let things = &schemas()[0];
    for id in acknowledged {
        let record = store.get(things, Key::Id(*id)).await.unwrap();
        assert!(record.is_some(), "{id} was acknowledged and is lost");
    }
    let Changes::Events { events, .. } = store.changes(Version(0)).await.unwrap() else {
        unreachable!("the log is long enough");
    };
    for event in &events {
        let record = store.get(things, Key::Id(event.id)).await.unwrap().unwrap();
        let partner = Uuid::parse_str(record["partner"].as_str().unwrap()).unwrap();
        let partner = store.get(things, Key::Id(partner)).await.unwrap();
        assert!(partner.is_some(), "a commit is there by half");
    }
    assert!(events.len() >= acknowledged.len() * 2);
}
