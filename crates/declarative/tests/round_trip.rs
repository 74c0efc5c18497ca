//! What is exported can be imported, and is the same when it is exported again.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::sync::Arc;

use declarative::{Config, Context, Document, Format, export, import, last_good};
use stdx::SystemClock;
use store::Catalog;
use store_declarative::{CHANGE_LOG, DeclarativeStore};
use store_sqlite::{Options, SqliteStore};

const TEXT: &str = r#"
_format_version: "3.0"
services:
- name: one
  url: https://one.test:8443/base
  tags: ["no", "größe", "1"]
  routes:
  - {name: first, paths: [/a, "~/b/\\d+"], headers: {x-version: ["1", v2]}}
  - {hosts: ["*.one.test"], methods: [GET], created_at: 1600000000, updated_at: 1600000001}
- {name: two, host: two.test, enabled: false}
upstreams:
- name: backends.test
  targets: [{target: "127.0.0.1:80", weight: 0}, {target: "127.0.0.2:80"}]
consumers:
- {username: bob, custom_id: "007"}
- {custom_id: only}
vaults:
- {prefix: my-env, name: env, config: {prefix: APP_}}
key_sets:
- {name: ring, tags: [x]}
"#;

fn catalog() -> Catalog {
    Catalog::new(entities::all())
}

fn parse(text: &str) -> Config {
    let context = Context {
        catalog: &catalog(),
        subschemas: entities::for_flavor(entities::RouterFlavor::default()),
        clock: &SystemClock,
    };
    Document::read(text.as_bytes(), Format::Auto)
        .unwrap()
        .parse(&context)
        .unwrap()
}

fn in_memory(config: Config) -> DeclarativeStore {
    let store = DeclarativeStore::new(catalog(), Arc::new(SystemClock), CHANGE_LOG).unwrap();
    store.try_replace_all(config.records()).unwrap();
    store
}

#[tokio::test]
async fn export_import_export_is_identical() {
    let first = export(&in_memory(parse(TEXT)), &catalog()).await.unwrap();
    let second = export(&in_memory(parse(&first)), &catalog()).await.unwrap();
    assert_eq!(first, second);
    assert!(first.starts_with("_format_version: \"3.0\"\n_transform: false\n"));
    assert!(first.contains("updated_at: 1600000001"), "{first}");
    assert!(!first.contains("workspaces"));
}

#[tokio::test]
async fn a_database_takes_the_same_and_gives_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path, catalog(), Options::default()).unwrap();
    let config = parse(TEXT);
    import(&store, &catalog(), &config).await.unwrap();
    let exported = export(&store, &catalog()).await.unwrap();
    assert_eq!(
        exported,
        export(&in_memory(config.clone()), &catalog())
            .await
            .unwrap()
    );
    // A second import finds everything in place.
    import(&store, &catalog(), &config).await.unwrap();
    assert_eq!(export(&store, &catalog()).await.unwrap(), exported);
}

#[test]
fn the_last_good_configuration_survives_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last-good");
    assert!(last_good::load(&path, &catalog()).unwrap().is_none());
    let config = parse(TEXT);
    last_good::save(&path, &parse("{_format_version: '3.0'}")).unwrap();
    last_good::save(&path, &config).unwrap();
    let loaded = last_good::load(&path, &catalog()).unwrap().unwrap();
    let records = |config: &Config| config.records().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(records(&loaded), records(&config));
    assert_eq!(loaded.hash(), config.hash());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "no temporary file stays"
    );

    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [
        &flipped[..],
        &whole[..whole.len() - 1],
        &whole[..10],
        b"",
        b"\n\n",
    ] {
        std::fs::write(&path, damaged).unwrap();
        let loaded = last_good::load(&path, &catalog());
        assert!(
            matches!(loaded, Err(last_good::Error::Damaged(_))),
            "{loaded:?}"
        );
    }
}
