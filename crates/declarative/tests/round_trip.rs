//! What is exported can be imported, and is the same when it is exported again.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use declarative::{Config, Context, Document, Format, export, import, last_good};
use proptest::prelude::*;
use serde_json::{Value, json};
use stdx::{ManualClock, SystemClock};
use store::{Catalog, Store};
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
    parse_at(text, 1_700_000_000)
}

/// Parses with the clock at a number of seconds after the epoch.
fn parse_at(text: &str, seconds: u64) -> Config {
    let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(seconds));
    let context = Context {
        catalog: &catalog(),
        subschemas: entities::for_flavor(entities::RouterFlavor::default()),
        clock: &clock,
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

fn embedded(folder: &tempfile::TempDir, name: &str) -> SqliteStore {
    let path = folder.path().join(name);
    SqliteStore::open(&path, catalog(), Options::default()).unwrap()
}

async fn import_text(store: &SqliteStore, text: &str, seconds: u64) {
    import(store, &catalog(), &parse_at(text, seconds))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_second_import_changes_nothing_not_even_times() {
    let folder = tempfile::tempdir().unwrap();
    let store = embedded(&folder, "store.db");
    import_text(&store, TEXT, 1_700_000_000).await;
    let (version, exported) = (
        store.version().await.unwrap(),
        export(&store, &catalog()).await.unwrap(),
    );
    import_text(&store, TEXT, 1_800_000_000).await;
    import_text(&store, &exported, 1_900_000_000).await;
    assert_eq!(store.version().await.unwrap(), version);
    assert_eq!(export(&store, &catalog()).await.unwrap(), exported);

    // What differs is written, and nothing else; a record keeps the time at which it was made.
    let other = TEXT.replace("host: two.test", "host: three.test");
    import_text(&store, &other, 1_800_000_000).await;
    assert_eq!(store.version().await.unwrap().0, version.0 + 1);
    let changed = export(&store, &catalog()).await.unwrap();
    let expected = exported.replace("two.test", "three.test").lines().count();
    assert_eq!(changed.lines().count(), expected);
    let differing: Vec<_> = changed
        .lines()
        .zip(exported.lines())
        .filter(|(new, old)| new != old)
        .map(|(new, _)| new.trim())
        .collect();
    assert_eq!(differing, ["host: three.test", "updated_at: 1800000000"]);

    // Times that a document gives are taken as they are.
    import_text(&store, &exported, 1_900_000_000).await;
    assert_eq!(export(&store, &catalog()).await.unwrap(), exported);
}

fn tags() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set("[a-zA-Z0-9._ ~é-]{1,6}", 0..4)
        .prop_map(|tags| tags.into_iter().collect())
}

/// Texts that YAML readers like to take for something else.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{1,12}",
        "\\PC{1,8}",
        Just("yes".to_owned()),
        Just("007".to_owned()),
        Just("1e3".to_owned()),
        Just("~".to_owned()),
        Just("a: b # c".to_owned()),
        Just("- x".to_owned()),
    ]
}

/// A document with services, their routes, consumers, upstreams and their targets, as a tree.
fn documents() -> impl Strategy<Value = Value> {
    let headers = prop::collection::btree_map(
        "x-[a-z]{1,4}",
        prop::collection::vec("[ -~]{1,6}", 1..3),
        1..3,
    );
    let route = (tags(), headers, any::<bool>(), 0..1000_u32);
    let service = (
        tags(),
        0..4_u32,
        prop::collection::vec(route, 0..3),
        any::<bool>(),
    );
    let consumer = (tags(), text(), any::<bool>());
    let upstream = (tags(), prop::collection::vec((tags(), 0..1000_u32), 0..3));
    (
        prop::collection::vec(service, 0..4),
        prop::collection::vec(consumer, 0..5),
        prop::collection::vec(upstream, 0..3),
    )
        .prop_map(|(services, consumers, upstreams)| {
            let services = services.into_iter().enumerate().map(|(n, (tags, retries, routes, enabled))| {
                let routes: Vec<_> = routes.into_iter().enumerate().map(|(m, (tags, headers, keep, priority))| json!({
                    "name": format!("r{n}-{m}"), "tags": tags, "headers": headers, "preserve_host": keep,
                    "regex_priority": priority, "paths": [format!("/{n}/{m}")],
                })).collect();
                json!({ "name": format!("s{n}"), "host": "h.test", "retries": retries, "tags": tags,
                    "enabled": enabled, "routes": routes })
            });
            let consumers = consumers.into_iter().enumerate().map(|(n, (tags, custom_id, named))| match named {
                true => json!({ "username": format!("{n} {custom_id}"), "tags": tags }),
                false => json!({ "custom_id": format!("{n} {custom_id}"), "tags": tags }),
            });
            let upstreams = upstreams.into_iter().enumerate().map(|(n, (tags, targets))| {
                let targets: Vec<_> = targets.into_iter().enumerate().map(|(m, (tags, weight))| json!({
                    "target": format!("10.0.{n}.{m}:80"), "weight": weight, "tags": tags,
                })).collect();
                json!({ "name": format!("u{n}.test"), "tags": tags, "targets": targets })
            });
            json!({
                "_format_version": "3.0",
                "services": services.collect::<Vec<_>>(),
                "consumers": consumers.collect::<Vec<_>>(),
                "upstreams": upstreams.collect::<Vec<_>>(),
            })
        })
}

/// The same entities the other way round.
fn reversed(document: &Value) -> Value {
    let mut reversed = document.clone();
    for list in reversed
        .as_object_mut()
        .into_iter()
        .flat_map(|lists| lists.values_mut())
    {
        if let Some(items) = list.as_array_mut() {
            items.reverse();
        }
    }
    reversed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_content_makes_the_round_trip_in_any_order(document in documents()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let [first, second, third] = ["1", "2", "3"].map(|name| embedded(&folder, name));
            import_text(&first, &document.to_string(), 1_700_000_000).await;
            let exported = export(&first, &catalog()).await.unwrap();
            let version = first.version().await.unwrap();

            import_text(&second, &exported, 1_800_000_000).await;
            prop_assert_eq!(&export(&second, &catalog()).await.unwrap(), &exported);
            import_text(&third, &reversed(&document).to_string(), 1_700_000_000).await;
            prop_assert_eq!(&export(&third, &catalog()).await.unwrap(), &exported);

            import_text(&first, &exported, 1_800_000_000).await;
            import_text(&first, &reversed(&document).to_string(), 1_800_000_000).await;
            prop_assert_eq!(first.version().await.unwrap(), version);
            prop_assert_eq!(&export(&first, &catalog()).await.unwrap(), &exported);
            Ok(())
        })?;
    }
}
