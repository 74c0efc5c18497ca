use store::{Error, Key};

use crate::fixture::{Node, Shared, eventually, id, schema};
use crate::{First, observe_staleness};

#[tokio::test]
async fn an_empty_replica_answers_nothing_instead_of_the_store() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    shared.set_down(true);
    let node = Node::start(&shared, &folder.path().join("replica.db")).await;
    assert!(matches!(node.cluster.first(), First::Nothing(_)));
    let store = node.cluster.store();
    let read = store.get(schema("things"), Key::Id(id(1))).await;
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
}

#[tokio::test]
async fn what_only_the_shared_store_can_tell_is_not_made_up() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    shared.write("things", 1, "one").await;
    let node = Node::start(&shared, &folder.path().join("replica.db")).await;
    let store = node.cluster.store();
    shared.set_down(true);
    let version = store.version().await.unwrap();
    assert!(matches!(
        store.changes(version).await,
        Err(Error::Unavailable(_))
    ));
    assert!(matches!(
        store.digests(&[]).await,
        Err(Error::Unavailable(_))
    ));
}

#[tokio::test]
async fn staleness_is_of_the_reading_that_is_observed() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    shared.write("things", 1, "one").await;
    let node = Node::start(&shared, &folder.path().join("replica.db")).await;
    let store = node.cluster.store();
    shared.set_down(true);
    let (read, stale) = observe_staleness(store.version()).await;
    assert!(read.is_ok() && stale.is_some());
    let ((), stale) = observe_staleness(async {}).await;
    assert_eq!(stale, None);
    eventually("the outage is known", async || {
        matches!(node.cluster.status().contact, crate::Contact::Down { .. })
    })
    .await;
    let (_, later) = observe_staleness(store.version()).await;
    assert_eq!(later, Some(node.cluster.answered_at()));
}

#[tokio::test]
async fn what_is_looked_up_is_on_this_machine_and_as_new_as_what_is_served() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    shared.write("things", 1, "one").await;
    let node = Node::start(&shared, &folder.path().join("replica.db")).await;
    let local = node.cluster.local();
    let name = async || {
        let found = local.get(schema("things"), Key::Id(id(1))).await.unwrap();
        found.unwrap()["name"].as_str().unwrap().to_owned()
    };
    for round in 0..50 {
        let written = format!("name {round}");
        let version = shared.write("things", 1, &written).await;
        let mut applied = node.cluster.applied();
        applied
            .wait_for(|applied| *applied >= version)
            .await
            .unwrap();
        assert_eq!(name().await, written);
    }
    shared.set_down(true);
    let (found, stale) = observe_staleness(name()).await;
    assert_eq!((found.as_str(), stale), ("name 49", None));
}

#[tokio::test]
async fn a_store_that_hangs_is_not_waited_for() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    shared.write("things", 1, "one").await;
    let node = Node::start(&shared, &folder.path().join("replica.db")).await;
    let store = node.cluster.store();
    shared.set_hanging(true);
    let (read, stale) = observe_staleness(store.get(schema("things"), Key::Id(id(1)))).await;
    assert_eq!(read.unwrap().unwrap()["name"], "one");
    assert!(stale.is_some());
}
