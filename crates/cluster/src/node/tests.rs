use std::sync::atomic::Ordering;

use store::{Change, Error, Key, PageRequest};

use super::First;
use crate::fixture::{Node, QUICK, Shared, eventually, id, record, replica, schema};
use crate::{Contact, Timing};

#[tokio::test]
async fn a_node_serves_what_the_store_has_and_what_changes() {
    let shared = Shared::new();
    shared.write("things", 1, "one").await;
    let node = Node::start_with(&shared, None, QUICK).await;
    assert!(matches!(node.cluster.first(), First::Shared));
    assert_eq!(node.data_plane.name_of("things", 1).unwrap(), "one");
    shared.write("things", 1, "uno").await;
    let version = shared.write("parts", 2, "two").await;
    node.serves("things", 1, Some("uno")).await;
    node.serves("parts", 2, Some("two")).await;
    shared.delete("things", 1).await;
    node.serves("things", 1, None).await;
    assert!(*node.cluster.applied().borrow() > version);
}

#[tokio::test]
async fn a_replica_gets_what_is_served() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    shared.write("things", 1, "one").await;
    let node = Node::start(&shared, &folder.path().join("replica.db")).await;
    let version = shared.write("things", 2, "two").await;
    let replica = node.replica.as_ref().unwrap();
    eventually("the replica has it", async || {
        replica
            .place()
            .is_some_and(|place| place.version == version)
    })
    .await;
    let got = replica.get(schema("things"), Key::Id(id(2))).await.unwrap();
    assert_eq!(got.unwrap()["name"], "two");
}

#[tokio::test]
async fn a_node_starts_from_its_replica_and_catches_up_when_the_store_returns() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("replica.db");
    shared.write("things", 1, "one").await;
    drop(Node::start(&shared, &file).await);

    shared.set_down(true);
    shared.write("things", 1, "uno").await;
    let node = Node::start(&shared, &file).await;
    assert!(matches!(node.cluster.first(), First::Replica));
    assert_eq!(node.data_plane.name_of("things", 1).unwrap(), "one");
    assert_eq!(node.cluster.status().contact, Contact::Never);

    shared.set_down(false);
    node.serves("things", 1, Some("uno")).await;
    eventually("it is in contact", async || {
        node.cluster.status().contact == Contact::Up
    })
    .await;
}

#[tokio::test]
async fn without_a_store_and_a_replica_there_is_nothing_and_a_reason() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    shared.set_down(true);
    shared.write("things", 1, "one").await;
    let node = Node::start(&shared, &folder.path().join("replica.db")).await;
    let First::Nothing(error) = node.cluster.first() else {
        panic!("there is something");
    };
    assert!(error.to_string().contains("it is down"), "{error}");
    shared.set_down(false);
    node.serves("things", 1, Some("one")).await;
}

#[tokio::test]
async fn a_data_plane_that_refuses_keeps_what_it_has_and_gets_the_change_later() {
    let shared = Shared::new();
    shared.write("things", 1, "one").await;
    let node = Node::start_with(&shared, None, QUICK).await;
    node.data_plane.refuses.store(true, Ordering::SeqCst);
    shared.write("things", 1, "uno").await;
    eventually("it refused", async || {
        node.cluster.status().counters.publish_failures > 0
    })
    .await;
    assert_eq!(node.data_plane.name_of("things", 1).unwrap(), "one");
    assert!(node.cluster.status().behind_since.is_some());
    node.data_plane.refuses.store(false, Ordering::SeqCst);
    node.serves("things", 1, Some("uno")).await;
}

#[tokio::test]
async fn an_outage_changes_nothing_and_is_told() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    shared.write("things", 1, "one").await;
    let node = Node::start(&shared, &folder.path().join("replica.db")).await;
    shared.set_down(true);
    eventually("the outage is noticed", async || {
        matches!(node.cluster.status().contact, Contact::Down { .. })
    })
    .await;
    assert_eq!(node.data_plane.name_of("things", 1).unwrap(), "one");
    shared.delete("things", 1).await;
    shared.set_down(false);
    node.serves("things", 1, None).await;
}

#[tokio::test]
async fn what_differs_is_found_healed_and_counted() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    for number in 1..=5 {
        shared
            .write("things", number, &format!("thing {number}"))
            .await;
    }
    shared.write("parts", 1, "part").await;
    let file = folder.path().join("replica.db");
    let copy = replica(&file);
    let node = Node::start_with(&shared, Some(copy.clone()), QUICK).await;
    let place = copy.place().unwrap();
    // A change of one record, a record that is too many, and one that is missing.
    let wrong = |number, name: Option<&str>| Change {
        schema: schema("things"),
        id: id(number),
        record: name.map(|name| record(number, name)),
    };
    let changes = [
        wrong(2, Some("wrong")),
        wrong(9, Some("more")),
        wrong(4, None),
    ];
    copy.apply(&changes, place).await.unwrap();
    eventually("it is healed", async || {
        node.cluster.status().counters.healed == 3
    })
    .await;
    assert_eq!(node.cluster.status().counters.divergences, 1);
    let page = PageRequest {
        size: 100,
        ..PageRequest::default()
    };
    let names: Vec<_> = copy.page(schema("things"), &page).await.unwrap().records;
    let names: Vec<_> = names
        .iter()
        .map(|record| record["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["thing 1", "thing 2", "thing 3", "thing 4", "thing 5"]
    );
    assert_eq!(node.data_plane.name_of("things", 9), None);
}

#[tokio::test]
async fn an_emptied_database_is_not_believed_and_a_restored_one_is() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    shared.write("things", 1, "one").await;
    shared.write("parts", 1, "part").await;
    let node = Node::start(&shared, &folder.path().join("replica.db")).await;
    let before = shared.empty();
    eventually("it is held", async || node.cluster.status().held.is_some()).await;
    assert_eq!(node.data_plane.name_of("things", 1).unwrap(), "one");
    shared.put(before);
    shared.write("things", 1, "uno").await;
    node.serves("things", 1, Some("uno")).await;
    eventually("it is not held", async || {
        node.cluster.status().held.is_none()
    })
    .await;
}

#[tokio::test]
async fn the_operator_may_say_that_an_emptied_database_is_meant() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    shared.write("things", 1, "one").await;
    shared.write("parts", 1, "part").await;
    let node = Node::start(&shared, &folder.path().join("replica.db")).await;
    // Too early: nothing is doubted yet.
    node.cluster.accept_database();
    shared.empty();
    eventually("it is held", async || node.cluster.status().held.is_some()).await;
    assert_eq!(node.data_plane.name_of("things", 1).unwrap(), "one");
    node.cluster.accept_database();
    node.serves("things", 1, None).await;
    assert_eq!(node.cluster.status().held, None);
}

#[tokio::test]
async fn deletions_that_the_log_tells_of_are_followed_to_the_last() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    shared.write("things", 1, "one").await;
    let node = Node::start(&shared, &folder.path().join("replica.db")).await;
    shared.delete("things", 1).await;
    node.serves("things", 1, None).await;
    assert_eq!(node.cluster.status().held, None);
}

#[tokio::test]
async fn a_partial_loss_is_believed_in_the_end() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    for number in 1..=3 {
        shared
            .write("things", number, &format!("thing {number}"))
            .await;
    }
    shared.write("parts", 1, "part").await;
    let timing = Timing {
        belief: std::time::Duration::from_millis(100),
        ..QUICK
    };
    let copy = replica(&folder.path().join("replica.db"));
    let node = Node::start_with(&shared, Some(copy), timing).await;
    shared.empty();
    shared.write("things", 1, "restored").await;
    eventually("it is held", async || node.cluster.status().held.is_some()).await;
    assert_eq!(node.data_plane.name_of("parts", 1).unwrap(), "part");
    node.serves("parts", 1, None).await;
    node.serves("things", 1, Some("restored")).await;
}

#[tokio::test]
async fn a_read_that_fails_is_answered_by_the_replica_and_said_to_be_stale() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    shared.write("things", 1, "one").await;
    let node = Node::start(&shared, &folder.path().join("replica.db")).await;
    let store = node.cluster.store();
    let get = || crate::observe_staleness(store.get(schema("things"), Key::Id(id(1))));
    let (got, stale) = get().await;
    assert_eq!(
        (got.unwrap().unwrap()["name"].as_str(), stale),
        (Some("one"), None)
    );
    shared.set_down(true);
    let (got, stale) = get().await;
    assert_eq!(got.unwrap().unwrap()["name"], "one");
    assert!(stale.is_some());
    assert!(matches!(
        store.commit(&[]).await,
        Err(Error::Unavailable(_))
    ));
    let (missing, _) = crate::observe_staleness(store.get(schema("things"), Key::Id(id(7)))).await;
    assert_eq!(missing.unwrap(), None);
    shared.set_down(false);
    eventually("it answers again", async || get().await.1.is_none()).await;
    store.commit(&[]).await.unwrap();
}

#[tokio::test]
async fn a_comparison_that_takes_long_keeps_no_change_waiting() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    shared.set_incomparable(true);
    let node = Node::start(&shared, &folder.path().join("replica.db")).await;
    for number in 1..20 {
        shared.write("parts", number, "new").await;
        node.serves("parts", number, Some("new")).await;
    }
    shared.set_incomparable(false);
    shared.write("parts", 1, "newer").await;
    eventually("it compares again", async || {
        node.cluster.status().counters.comparisons > 0
    })
    .await;
}
