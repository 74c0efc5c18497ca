//! Targets that are marked by hand: all nodes go by a mark, those included that were not there.

use std::net::SocketAddr;

use serde_json::{Value, json};
use testing::{Backend, Cluster, Node, eventually};

/// An upstream `u` with passive checks, and a route to it.
fn balance(node: &Node<'_>, targets: &[SocketAddr]) {
    let passive = json!({ "passive": { "unhealthy": { "http_failures": 10 } } });
    let upstream = json!({ "name": "u.test", "healthchecks": passive });
    node.configure("POST", "/upstreams", &upstream);
    for target in targets {
        let target = json!({ "target": target.to_string() });
        node.configure("POST", "/upstreams/u.test/targets", &target);
    }
    node.add_route("/u", "http://u.test", &Value::Null);
}

/// Whether the node knows the target, and finds it so.
fn is(node: &Node<'_>, target: SocketAddr, health: &str) -> bool {
    let answer = node.admin("GET", "/upstreams/u.test/health", &Value::Null);
    let body = answer.json();
    let targets = body["data"].as_array().into_iter().flatten();
    let mut own = targets.filter(|one| one["target"] == target.to_string());
    own.any(|one| one["health"] == health)
}

fn mark(node: &Node<'_>, target: SocketAddr, verdict: &str) {
    let path = format!("/upstreams/u.test/targets/{target}/{verdict}");
    assert_eq!(node.admin("PUT", &path, &json!({})).status, 204);
}

#[test]
fn a_mark_reaches_all_nodes_and_one_that_starts_later() {
    let (a, b) = (Backend::saying("a"), Backend::saying("b"));
    let cluster = Cluster::new(3);
    let (first, second) = (cluster.place(0).start(), cluster.place(1).start());
    balance(&first, &[a.address(), b.address()]);
    eventually("the second node knows the targets", || {
        is(&second, a.address(), "HEALTHY")
    });
    mark(&first, a.address(), "unhealthy");
    eventually("the second node hears of the mark", || {
        is(&second, a.address(), "UNHEALTHY")
    });
    for _ in 0..6 {
        assert_eq!(second.get("/u").text(), "b");
    }
    let third = cluster.place(2).start();
    eventually("a node that starts asks for marks", || {
        is(&third, a.address(), "UNHEALTHY")
    });
    mark(&third, a.address(), "healthy");
    mark(&second, b.address(), "unhealthy");
    for node in [&first, &second, &third] {
        eventually("later marks count", || {
            is(node, a.address(), "HEALTHY") && is(node, b.address(), "UNHEALTHY")
        });
    }
}

#[test]
fn a_mark_of_a_node_of_kong_counts() {
    let (a, b) = (Backend::saying("a"), Backend::saying("b"));
    let cluster = Cluster::new(1);
    let [node] = cluster.start();
    balance(&node, &[a.address(), b.address()]);
    eventually("the targets are there", || {
        is(&node, a.address(), "HEALTHY")
    });
    let upstream = cluster.query("SELECT id FROM upstreams");
    // As Kong writes it for a whole target.
    let word = format!(
        "127.0.0.1||{}|0|{}|u.test",
        a.address().port(),
        upstream.trim()
    );
    cluster.query(&format!(
        "INSERT INTO cluster_events (id, node_id, at, expire_at, channel, data) \
         VALUES (gen_random_uuid(), gen_random_uuid(), CURRENT_TIMESTAMP, \
         CURRENT_TIMESTAMP + interval '1 hour', 'balancer:post_health', '{word}')"
    ));
    eventually("the mark counts", || is(&node, a.address(), "UNHEALTHY"));
    // Kong hears of ours in its own words.
    mark(&node, b.address(), "unhealthy");
    let told = format!(
        "127.0.0.1||{}|0|{}|u.test|",
        b.address().port(),
        upstream.trim()
    );
    eventually("it is told", || {
        let events =
            cluster.query("SELECT data FROM cluster_events WHERE channel = 'balancer:post_health'");
        events.lines().any(|data| data.starts_with(&told))
    });
}
