use std::sync::atomic::Ordering;
use std::time::Duration;

use store::{Peer, Peers as _, Version};
use uuid::Uuid;

use super::Member;
use crate::fixture::{Node, QUICK, Shared, eventually, id, now};

fn member(number: u128) -> Member {
    Member {
        id: id(number),
        hostname: format!("host{number}"),
        addresses: vec!["http://127.0.0.1:8000".to_owned()],
        program: "1".to_owned(),
        started_at: now(),
    }
}

async fn is_listed(shared: &Shared, id: Uuid) -> bool {
    let (rows, _) = shared.register.list().await.unwrap();
    rows.iter().any(|peer| peer.id == id)
}

#[tokio::test]
async fn a_node_is_listed_until_it_leaves() {
    let shared = Shared::new();
    let version = shared.write("things", 1, "one").await;
    let node = Node::start_with(&shared, None, QUICK).await;
    node.cluster.join(member(1));
    eventually("it is listed", async || is_listed(&shared, id(1)).await).await;
    let nodes = node.cluster.nodes().await.unwrap();
    assert_eq!(nodes.len(), 1);
    assert_eq!(
        (nodes[0].peer.hostname.as_str(), nodes[0].alive),
        ("host1", true)
    );
    assert_eq!((nodes[0].peer.applied, nodes[0].lag), (version, 0));
    node.cluster.stop().await;
    assert!(!is_listed(&shared, id(1)).await);
}

#[tokio::test]
async fn a_wait_ends_when_everybody_has_applied_the_version() {
    let shared = Shared::new();
    let nodes = [
        Node::start_with(&shared, None, QUICK).await,
        Node::start_with(&shared, None, QUICK).await,
    ];
    for (node, number) in nodes.iter().zip(1..) {
        node.cluster.join(member(number));
    }
    for number in [1, 2] {
        eventually("both are listed", async || {
            is_listed(&shared, id(number)).await
        })
        .await;
    }
    let version = shared.write("things", 1, "one").await;
    let limit = Duration::from_secs(60);
    let laggards = nodes[0].cluster.wait(version, limit).await.unwrap();
    assert_eq!(laggards, []);
    for node in &nodes {
        assert_eq!(node.data_plane.name_of("things", 1).unwrap(), "one");
    }
}

#[tokio::test]
async fn a_wait_names_those_that_have_not() {
    let shared = Shared::new();
    let nodes = [
        Node::start_with(&shared, None, QUICK).await,
        Node::start_with(&shared, None, QUICK).await,
    ];
    for (node, number) in nodes.iter().zip(1..) {
        node.cluster.join(member(number));
    }
    eventually("it is listed", async || is_listed(&shared, id(2)).await).await;
    nodes[1].data_plane.refuses.store(true, Ordering::SeqCst);
    let version = shared.write("things", 1, "one").await;
    let limit = Duration::from_millis(300);
    let laggards = nodes[0].cluster.wait(version, limit).await.unwrap();
    let laggards: Vec<_> = laggards.into_iter().map(|peer| peer.id).collect();
    assert_eq!(laggards, [id(2)]);
}

#[tokio::test]
async fn a_dead_node_is_waited_for_by_nobody() {
    let shared = Shared::new();
    let dead = Peer {
        id: id(9),
        hostname: "gone".to_owned(),
        addresses: Vec::new(),
        program: "1".to_owned(),
        started_at: now(),
        last_seen: now() - Duration::from_secs(7200),
        applied: Version(0),
    };
    shared.register.rows.lock().insert(dead.id, dead);
    let node = Node::start_with(&shared, None, QUICK).await;
    node.cluster.join(member(1));
    let version = shared.write("things", 1, "one").await;
    let waited = node.cluster.wait(version, Duration::from_secs(60)).await;
    assert_eq!(waited.unwrap(), []);
    let nodes = node.cluster.nodes().await.unwrap();
    let dead = nodes.iter().find(|node| node.peer.id == id(9)).unwrap();
    assert!(!dead.alive);
    assert!(dead.lag > 0);
}

#[tokio::test]
async fn who_is_there_is_remembered_without_being_asked() {
    let shared = Shared::new();
    shared.write("things", 1, "one").await;
    let node = Node::start_with(&shared, None, QUICK).await;
    assert_eq!(node.cluster.roster(), None);
    node.cluster.join(member(1));
    eventually("it is remembered", async || {
        let roster = node.cluster.roster();
        roster.is_some_and(|roster| roster.rows.iter().any(|row| row.peer.id == id(1)))
    })
    .await;
    shared.set_down(true);
    eventually("it is known to be away", async || {
        node.cluster.nodes().await.is_err()
    })
    .await;
    assert!(node.cluster.roster().is_some());
}
