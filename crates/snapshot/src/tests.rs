use std::sync::Arc;

use router::{Flavor, Request};
use serde_json::{Value, json};
use stdx::SeededRandom;
use store::Version;

use super::*;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn put(entity: &'static str, n: u128, mut fields: Value) -> Change {
    fields["id"] = json!(id(n).to_string());
    let record = fields.as_object().cloned();
    Change {
        entity,
        id: id(n),
        record,
    }
}

fn gone(entity: &'static str, n: u128) -> Change {
    Change {
        entity,
        id: id(n),
        record: None,
    }
}

fn service(n: u128, host: &str) -> Change {
    put(
        "services",
        n,
        json!({"protocol": "http", "host": host, "port": 80, "enabled": true}),
    )
}

fn route(n: u128, path: &str, service: u128) -> Change {
    put(
        "routes",
        n,
        json!({"paths": [path], "protocols": ["http"], "service": {"id": id(service).to_string()}}),
    )
}

fn empty() -> Snapshot {
    Snapshot::empty(Options {
        flavor: Flavor::default(),
        references: Arc::new(Unresolved),
        plugins: Arc::new(NoPlugins),
    })
}

fn with(from: &Snapshot, changes: impl IntoIterator<Item = Change>) -> Snapshot {
    let (next, problems) = from.with(Version(from.version.0 + 1), changes);
    assert_eq!(problems, []);
    next
}

/// The host that a GET of the path goes to.
fn host_of(snapshot: &Snapshot, path: &str) -> Option<String> {
    let request = Request::http(b"GET", Some(b"any.test"), path.as_bytes());
    let found = snapshot.http.find(&request)?;
    let service = found.route.service.as_ref()?;
    Some(service.host.to_string())
}

#[test]
fn a_route_leads_to_its_service() {
    let snapshot = with(&empty(), [service(1, "a.test"), route(2, "/a", 1)]);
    assert_eq!(host_of(&snapshot, "/a/b").as_deref(), Some("a.test"));
    assert_eq!(host_of(&snapshot, "/b"), None);
}

#[test]
fn an_older_snapshot_stays_as_it_was() {
    let before = with(&empty(), [service(1, "a.test"), route(2, "/a", 1)]);
    let after = with(&before, [gone("routes", 2), gone("services", 1)]);
    assert_eq!(host_of(&before, "/a").as_deref(), Some("a.test"));
    assert_eq!(host_of(&after, "/a"), None);
    assert_eq!(after.route_count(), 0);
}

#[test]
fn a_changed_service_reaches_all_of_its_routes() {
    let before = with(
        &empty(),
        [service(1, "a.test"), route(2, "/a", 1), route(3, "/b", 1)],
    );
    let after = with(&before, [service(1, "new.test")]);
    assert_eq!(host_of(&after, "/a").as_deref(), Some("new.test"));
    assert_eq!(host_of(&after, "/b").as_deref(), Some("new.test"));
}

#[test]
fn the_routes_of_a_disabled_service_match_nothing_until_it_is_enabled() {
    let mut disabled = service(1, "a.test");
    if let Some(record) = &mut disabled.record {
        record.insert("enabled".into(), json!(false));
    }
    let before = with(&empty(), [disabled, route(2, "/a", 1)]);
    assert_eq!(host_of(&before, "/a"), None);
    let after = with(&before, [service(1, "a.test")]);
    assert_eq!(host_of(&after, "/a").as_deref(), Some("a.test"));
}

#[test]
fn a_route_that_arrives_before_its_service_waits_for_it() {
    let before = with(&empty(), [route(2, "/a", 1)]);
    assert_eq!(host_of(&before, "/a"), None);
    let after = with(&before, [service(1, "a.test")]);
    assert_eq!(host_of(&after, "/a").as_deref(), Some("a.test"));
}

#[test]
fn a_record_that_does_not_compile_leaves_the_rest_and_its_own_past_alone() {
    let before = with(&empty(), [service(1, "a.test"), route(2, "/a", 1)]);
    let broken = put(
        "routes",
        2,
        json!({"paths": ["~/a["], "protocols": ["http"], "service": {"id": id(1).to_string()}}),
    );
    let (after, problems) = before.with(Version(9), [broken, route(3, "/c", 1)]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((problems[0].entity, problems[0].id), ("routes", id(2)));
    assert_eq!(host_of(&after, "/a").as_deref(), Some("a.test"));
    assert_eq!(host_of(&after, "/c").as_deref(), Some("a.test"));
    let healed = with(&after, [route(2, "/healed", 1)]);
    assert_eq!(host_of(&healed, "/a"), None);
    assert_eq!(host_of(&healed, "/healed").as_deref(), Some("a.test"));
}

fn upstream(n: u128, name: &str) -> Change {
    put(
        "upstreams",
        n,
        json!({"name": name, "algorithm": "round-robin", "slots": 100}),
    )
}

fn target(n: u128, upstream: u128, address: &str, created_at: f64) -> Change {
    let upstream = json!({"id": id(upstream).to_string()});
    put(
        "targets",
        n,
        json!({"target": address, "weight": 10, "upstream": upstream, "created_at": created_at}),
    )
}

fn addresses(snapshot: &Snapshot, name: &str) -> Vec<String> {
    let upstream = snapshot.upstream(name).unwrap();
    upstream
        .targets
        .iter()
        .map(|target| format!("{}:{}", target.host, target.port))
        .collect()
}

#[test]
fn an_upstream_has_its_targets_oldest_first() {
    let changes = [
        upstream(1, "pool"),
        target(2, 1, "b.test:80", 2.5),
        target(3, 1, "[::1]:81", 1.25),
    ];
    let before = with(&empty(), changes);
    assert_eq!(addresses(&before, "pool"), ["[::1]:81", "b.test:80"]);
    let after = with(
        &before,
        [gone("targets", 3), target(4, 1, "c.test:82", 3.0)],
    );
    assert_eq!(addresses(&after, "pool"), ["b.test:80", "c.test:82"]);
    assert_eq!(addresses(&before, "pool").len(), 2);
}

#[test]
fn a_renamed_upstream_keeps_its_targets_and_loses_its_old_name() {
    let before = with(
        &empty(),
        [
            upstream(1, "old"),
            upstream(5, "other"),
            target(2, 1, "b.test:80", 1.0),
        ],
    );
    let after = with(&before, [upstream(1, "other"), upstream(5, "old")]);
    assert_eq!(addresses(&after, "other"), ["b.test:80"]);
    assert!(addresses(&after, "old").is_empty());
    let last = with(&after, [gone("targets", 2), gone("upstreams", 1)]);
    assert!(last.upstream("other").is_none());
}

fn certificate_texts(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn a_certificate_is_found_by_its_server_names() {
    let (cert, key) = certificate_texts("a.test");
    let certificate = put("certificates", 1, json!({"cert": cert, "key": key}));
    let sni = put(
        "snis",
        2,
        json!({"name": "*.a.test", "certificate": {"id": id(1).to_string()}}),
    );
    let before = with(&empty(), [certificate, sni]);
    assert_eq!(
        before.server_certificate(Some("x.a.test")).unwrap().id,
        id(1)
    );
    assert!(before.server_certificate(Some("a.test")).is_none());
    assert!(
        before
            .certificate(id(1))
            .unwrap()
            .client_identity()
            .is_some()
    );
    let after = with(&before, [gone("snis", 2)]);
    assert!(after.server_certificate(Some("x.a.test")).is_none());
}

#[derive(Debug)]
struct Fixed(String, String);

impl References for Fixed {
    fn resolve<'a>(
        &self,
        reference: &str,
        vault: &dyn Fn(&str) -> Option<&'a Vault>,
    ) -> Option<String> {
        let (prefix, name) = reference
            .strip_prefix("{vault://")?
            .strip_suffix('}')?
            .split_once('/')?;
        vault(prefix)?;
        Some(if name == "cert" {
            self.0.clone()
        } else {
            self.1.clone()
        })
    }
}

#[test]
fn references_are_looked_up_again_when_a_vault_changes() {
    let (cert, key) = certificate_texts("a.test");
    let options = Options {
        flavor: Flavor::default(),
        references: Arc::new(Fixed(cert, key)),
        plugins: Arc::new(NoPlugins),
    };
    let fields = json!({"cert": "{vault://mine/cert}", "key": "{vault://mine/key}"});
    let certificate = put("certificates", 1, fields);
    let (before, problems) = Snapshot::empty(options).with(Version(1), [certificate]);
    assert!(
        problems[0].reason.contains("{vault://mine/cert}"),
        "{problems:?}"
    );
    let vault = put(
        "vaults",
        2,
        json!({"prefix": "mine", "name": "env", "config": {}}),
    );
    let after = with(&before, [vault]);
    assert!(after.certificate(id(1)).is_some());
}

/// Whatever the order and the batches, the outcome is that of loading the last state at once.
#[test]
fn changes_one_by_one_end_where_a_load_ends() {
    for seed in 0..200 {
        let mut random = SeededRandom::new(seed);
        let mut state: std::collections::BTreeMap<(&str, u128), Change> = Default::default();
        let mut snapshot = empty();
        for _ in 0..30 {
            let batch = random.below(4) + 1;
            let mut changes: std::collections::BTreeMap<(&str, u128), Change> = Default::default();
            for _ in 0..batch {
                let n = u128::from(random.below(6));
                let (key, change) = match random.below(4) {
                    0 => (
                        ("services", n),
                        service(n, &format!("h{}.test", random.below(9))),
                    ),
                    1 => (("routes", n), gone("routes", n)),
                    _ => {
                        let path = format!("/p{}", random.below(5));
                        (("routes", n), route(n, &path, u128::from(random.below(6))))
                    }
                };
                changes.insert(key, change);
            }
            state.extend(changes.clone());
            snapshot = with(&snapshot, changes.into_values());
        }
        let loaded = with(
            &empty(),
            state.into_values().filter(|change| change.record.is_some()),
        );
        for path in 0..5 {
            let path = format!("/p{path}");
            assert_eq!(
                host_of(&snapshot, &path),
                host_of(&loaded, &path),
                "seed {seed}"
            );
        }
    }
}
