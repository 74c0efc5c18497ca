//! The file itself: plain to read, extended at start, shared with other processes.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::LazyLock;

use rusqlite::Connection;
use schema::{Field, Record, Schema};
use serde_json::{Value, json};
use store::{
    Catalog, Changes, DEFAULT_WORKSPACE, Error, EventKind, Key, Mutation, PageRequest, Store as _,
};
use store_sqlite::{Options, SqliteStore};
use tempfile::TempDir;
use uuid::Uuid;

/// The declarations of an older and of a newer program.
static OLD: LazyLock<Vec<Schema>> = LazyLock::new(|| vec![things(), workspaces()]);
static NEW: LazyLock<Vec<Schema>> = LazyLock::new(|| {
    let parts = Schema::new("parts", "Came later.")
        .field_as("id", Field::id())
        .field_as(
            "thing",
            Field::foreign_to("Whole.", "things").on_delete_cascade(),
        );
    let things = things()
        .field_as("colour", Field::string("Came later."))
        .field_as("part", Field::foreign_to("Came later.", "parts"));
    vec![things, parts, workspaces()]
});

fn things() -> Schema {
    let tags = Field::set("Tags.", Field::string("A tag."));
    Schema::new("things", "Things.")
        .field_as("id", Field::id())
        .field_as("name", Field::string("A name.").unique())
        .field_as(
            "options",
            Field::record("A record.", vec![("deep", Field::string("Text."))]),
        )
        .field_as("flag", Field::boolean("True or false."))
        .field_as("tags", tags)
}

fn workspaces() -> Schema {
    Schema::new("workspaces", "Workspaces.")
        .field_as("id", Field::id())
        .field_as("name", Field::string("A name.").unique())
}

fn open(path: &Path, schemas: &'static [Schema]) -> Result<SqliteStore, Error> {
    SqliteStore::open(path, Catalog::new(schemas), Options::default())
}

fn folder() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

fn record(fields: Value) -> Record {
    let mut record = fields.as_object().unwrap().clone();
    record.insert("id".to_owned(), Uuid::new_v4().to_string().into());
    record
}

fn id_of(record: &Record) -> Uuid {
    Uuid::parse_str(record["id"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_person_can_read_the_file() {
    let (_folder, path) = folder();
    let store = open(&path, &OLD).unwrap();
    let thing = record(json!({"name": "x", "options": {"deep": "y"}, "flag": true, "tags": ["t"]}));
    store
        .commit(&[Mutation::Insert(&OLD[0], thing)])
        .await
        .unwrap();
    let shell = Connection::open(&path).unwrap();
    let row: (String, String, i64, String, String) = shell
        .query_row(
            "SELECT name, options, flag, tags, ws_id FROM things",
            [],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            },
        )
        .unwrap();
    let expected = (
        "x",
        r#"{"deep":"y"}"#,
        1,
        r#"["t"]"#,
        DEFAULT_WORKSPACE.to_string(),
    );
    assert_eq!(
        (row.0.as_str(), row.1.as_str(), row.2, row.3.as_str(), row.4),
        expected
    );
    let mode: String = shell
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    for name in ["store.db", "store.db-wal"] {
        let permissions = std::fs::metadata(path.with_file_name(name))
            .unwrap()
            .permissions();
        assert_eq!(permissions.mode() & 0o077, 0, "nobody else may read {name}");
    }
}

#[tokio::test]
async fn the_default_workspace_is_there_once() {
    let (_folder, path) = folder();
    for _ in 0..2 {
        let store = open(&path, &OLD).unwrap();
        let request = PageRequest {
            size: 10,
            ..PageRequest::default()
        };
        let page = store.page(&OLD[1], &request).await.unwrap();
        assert_eq!(page.records.len(), 1);
        assert_eq!(id_of(&page.records[0]), DEFAULT_WORKSPACE);
    }
}

#[tokio::test]
async fn a_newer_program_adds_columns_and_tables_and_the_older_one_still_works() {
    let (_folder, path) = folder();
    let thing = record(json!({"name": "x"}));
    let store = open(&path, &OLD).unwrap();
    let version = store
        .commit(&[Mutation::Insert(&OLD[0], thing.clone())])
        .await
        .unwrap();
    drop(store);

    let store = open(&path, &NEW).unwrap();
    let mut seen = store
        .get(&NEW[0], Key::Unique("name", "x"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen["colour"], Value::Null);
    assert_eq!(store.version().await.unwrap(), version);
    seen.insert("colour".to_owned(), "red".into());
    let part = record(json!({"thing": {"id": thing["id"]}}));
    seen.insert("part".to_owned(), json!({"id": part["id"]}));
    let mutations = [
        Mutation::Insert(&NEW[1], part),
        Mutation::Update(&NEW[0], seen),
    ];
    store.commit(&mutations).await.unwrap();
    drop(store);

    let store = open(&path, &OLD).unwrap();
    let seen = store
        .get(&OLD[0], Key::Id(id_of(&thing)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.get("colour"), None);
    drop(store);
    let store = open(&path, &NEW).unwrap();
    let seen = store
        .get(&NEW[0], Key::Id(id_of(&thing)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        seen["colour"], "red",
        "what the older program does not know is kept"
    );
}

#[tokio::test]
async fn refuses_files_that_it_cannot_use() {
    let (folder, path) = folder();
    std::fs::write(
        &path,
        "this is no database, and long enough to be taken for one".repeat(100),
    )
    .unwrap();
    assert!(matches!(open(&path, &OLD), Err(Error::Database(_))));
    let missing = folder.path().join("no/such/folder/store.db");
    assert!(matches!(open(&missing, &OLD), Err(Error::Unavailable(_))));

    let newer = folder.path().join("newer.db");
    drop(open(&newer, &OLD).unwrap());
    let shell = Connection::open(&newer).unwrap();
    shell
        .execute("UPDATE schema_versions SET layout = 999", [])
        .unwrap();
    let Err(error) = open(&newer, &OLD) else {
        unreachable!("a newer layout is refused");
    };
    assert!(error.to_string().contains("newer program"), "{error}");
}

#[tokio::test]
async fn a_file_with_a_page_that_is_damaged_is_refused() {
    const PAGE: usize = 4096;
    let (_folder, path) = folder();
    let store = open(&path, &OLD).unwrap();
    for number in 0..500 {
        let thing = record(json!({"name": format!("thing {number}")}));
        store
            .commit(&[Mutation::Insert(&OLD[0], thing)])
            .await
            .unwrap();
    }
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    // One page of the table, which nobody reads to start.
    let shell = Connection::open(&path).unwrap();
    let sql =
        "SELECT pageno FROM dbstat WHERE name = 'things' AND pagetype = 'leaf' LIMIT 1 OFFSET 3";
    let page = shell
        .query_row(sql, [], |row| row.get::<_, u32>(0))
        .unwrap() as usize;
    drop(shell);
    let mut damaged = whole.clone();
    damaged[(page - 1) * PAGE..page * PAGE].fill(0xA5);
    let mut cut = whole.clone();
    cut.truncate(whole.len() - 3 * PAGE);
    for bytes in [damaged, cut] {
        std::fs::write(&path, bytes).unwrap();
        match open(&path, &OLD) {
            Err(Error::Database(text)) => assert!(text.contains("damaged"), "{text}"),
            other => panic!("expected a refusal, got {:?}", other.map(drop)),
        }
    }
    std::fs::write(&path, whole).unwrap();
    assert_eq!(open(&path, &OLD).unwrap().version().await.unwrap().0, 501);
}

#[tokio::test]
async fn a_row_that_another_process_writes_counts_like_any_other() {
    let (_folder, path) = folder();
    let store = open(&path, &OLD).unwrap();
    let start = store.version().await.unwrap();
    let id = Uuid::new_v4();
    let shell = Connection::open(&path).unwrap();
    let sql = "INSERT INTO things (id, name, tags) VALUES (?1, 'by hand', '[\"t\"]')";
    shell.execute(sql, [id.to_string()]).unwrap();

    store.changed(start).await;
    let Changes::Events { events, .. } = store.changes(start).await.unwrap() else {
        unreachable!("the log is long enough");
    };
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.id, event.operation))
        .collect();
    assert_eq!(told, [(id, EventKind::Create)]);
    let (tags, _) = store
        .tags(Some("t"), &PageRequest::default())
        .await
        .unwrap();
    assert_eq!(tags.len(), 1);
}

#[tokio::test]
async fn two_processes_take_turns() {
    let (_folder, path) = folder();
    let one = open(&path, &OLD).unwrap();
    let two = open(&path, &OLD).unwrap();
    for store in [&one, &two, &one] {
        let thing = record(json!({"name": null}));
        store
            .commit(&[Mutation::Insert(&OLD[0], thing)])
            .await
            .unwrap();
    }
    let request = PageRequest {
        size: 10,
        ..PageRequest::default()
    };
    assert_eq!(two.page(&OLD[0], &request).await.unwrap().records.len(), 3);
    assert_eq!(one.version().await.unwrap(), two.version().await.unwrap());
}

#[tokio::test]
async fn a_value_that_no_column_holds_is_an_error_and_not_a_panic() {
    let (_folder, path) = folder();
    let store = open(&path, &OLD).unwrap();
    for fields in [json!({"name": true}), json!({"flag": "yes"})] {
        let attempt = store
            .commit(&[Mutation::Insert(&OLD[0], record(fields))])
            .await;
        assert!(matches!(attempt, Err(Error::Database(_))), "{attempt:?}");
    }
}
