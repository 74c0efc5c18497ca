//! Several nodes on one PostgreSQL: what one is told all of them do, and none of them needs the database to serve.

use serde_json::{Value, json};
use testing::{
    Answer, Backend, Cluster, Node, PATIENCE, Place, Stop, eventually, eventually_answers,
};

/// One request to the Admin API with a header.
fn with_header(node: &Node, method: &str, path: &str, header: &str, body: &str) -> Answer {
    let mut client = node.client_of_admin().with_patience(PATIENCE);
    let length = body.len();
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: admin\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{header}\r\n\r\n{body}"
    ));
    client.receive()
}

/// The nodes that one of them knows.
fn known(node: &Node) -> Vec<Value> {
    let shown = node.configure("GET", "/cluster", &Value::Null);
    shown["data"].as_array().cloned().unwrap_or_default()
}

fn is_reachable(node: &Node) -> bool {
    let status = node.status_api("/status").json();
    status["database"]["reachable"] == json!(true)
}

/// Waits until a node has noticed that the database went, or came back.
pub fn eventually_reachable(node: &Node, wanted: bool) {
    eventually("the node notices what the database does", || {
        is_reachable(node) == wanted
    });
}

#[test]
fn a_change_on_one_node_is_served_by_all() {
    let backend = Backend::saying("here");
    let cluster = Cluster::new(3);
    let nodes: [Node; 3] = cluster.start();
    nodes[0].add_route("/first", &backend.url(), &Value::Null);
    assert_eq!(nodes[0].get("/first").status, 200);
    for node in &nodes {
        eventually_answers(node, "/first", 200);
        assert_eq!(node.admin("GET", "/routes/first", &Value::Null).status, 200);
    }
    // What a person changes with psql counts as well.
    cluster.query("UPDATE routes SET paths = '{/moved}' WHERE name = 'first'");
    for node in &nodes {
        eventually_answers(node, "/moved", 200);
        eventually_answers(node, "/first", 404);
    }
}

#[test]
fn a_write_that_waits_is_served_by_all_nodes_when_it_is_answered() {
    let backend = Backend::saying("here");
    let cluster = Cluster::new(3);
    let nodes: [Node; 3] = cluster.start();
    eventually("all nodes know each other", || known(&nodes[0]).len() == 3);
    nodes[0].configure(
        "POST",
        "/services",
        &json!({ "name": "s", "url": backend.url() }),
    );
    for number in 0..20 {
        let node = &nodes[number % 3];
        let path = format!("/n{number}");
        let answer = node.admin(
            "POST",
            "/services/s/routes?wait=cluster&wait_timeout=60",
            &json!({ "name": path.trim_matches('/'), "paths": [path] }),
        );
        assert_eq!(answer.status, 201, "{}", answer.text());
        for node in &nodes {
            assert_eq!(node.get(&path).status, 200, "{path}");
        }
    }
}

#[test]
fn a_write_that_waits_in_vain_names_the_laggard() {
    let cluster = Cluster::new(2);
    let nodes: [Node; 2] = cluster.start();
    eventually("both nodes know each other", || known(&nodes[0]).len() == 2);
    let id = known(&nodes[1])
        .into_iter()
        .find(|node| node["self"] == json!(true))
        .map(|node| node["id"].as_str().unwrap().to_owned())
        .unwrap();
    nodes[1].pause();
    let answer = nodes[0].admin(
        "PUT",
        "/consumers/alice?wait=cluster&wait_timeout=0.2",
        &json!({}),
    );
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.json()["username"], json!("alice"));
    let laggards = answer.header("x-silverback-laggards").unwrap().to_owned();
    assert!(laggards.ends_with(&id), "{laggards} {id}");
    nodes[1].unpause();
    let answer = nodes[0].admin(
        "PUT",
        "/consumers/alice?wait=cluster&wait_timeout=60",
        &json!({}),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_write_on_one_node_can_be_read_on_any() {
    let cluster = Cluster::new(2);
    let nodes: [Node; 2] = cluster.start();
    for number in 0..10 {
        let path = format!("/consumers/c{number}");
        let ask = "X-Silverback-Config-Version: ?";
        let answer = with_header(&nodes[0], "PUT", &path, ask, "{}");
        let version = answer.header("x-silverback-config-version").unwrap();
        let need = format!("X-Silverback-Config-Version: {version}");
        let answer = with_header(&nodes[1], "GET", &path, &need, "");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let future = "X-Silverback-Config-Version: 1000000";
    let answer = with_header(&nodes[1], "GET", "/consumers", future, "");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
}

#[test]
fn what_is_told_to_all_nodes_reaches_them() {
    let cluster = Cluster::new(2);
    let [first, second]: [Node; 2] = cluster.start();
    let level = |node: &Node| {
        let shown = node.configure("GET", "/debug/node/log-level", &Value::Null);
        shown["message"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(level(&second), "log level: notice");
    let everywhere = "/debug/cluster/log-level/warn?timeout=600";
    assert_eq!(first.admin("PUT", everywhere, &json!({})).status, 200);
    eventually("the other node hears it", || {
        level(&second) == "log level: warn"
    });
    // What is told while the database is away is told when it is back.
    cluster.postgres().stop(Stop::Immediate).unwrap();
    eventually_reachable(&first, false);
    let everywhere = "/debug/cluster/log-level/error?timeout=600";
    assert_eq!(first.admin("PUT", everywhere, &json!({})).status, 200);
    cluster.postgres().resume().unwrap();
    eventually("the other node hears it later", || {
        level(&second) == "log level: error"
    });
}

#[test]
fn the_cluster_shows_who_is_there_and_forgets_who_left() {
    let cluster = Cluster::new(2);
    let [first, second]: [Node; 2] = cluster.start();
    eventually("both nodes know each other", || known(&first).len() == 2);
    for node in known(&first) {
        assert_eq!(node["alive"], json!(true), "{node}");
        assert!(node["addresses"][0].as_str().unwrap().starts_with("http"));
        assert!(node["started_at"].as_str().unwrap().ends_with('Z'));
    }
    assert_eq!(
        known(&first)
            .iter()
            .filter(|node| node["self"] == json!(true))
            .count(),
        1
    );
    second.signal(testing::Signal::SIGTERM);
    assert!(second.wait().success());
    eventually("the other one has left", || known(&first).len() == 1);
}

#[test]
fn a_node_serves_starts_and_answers_reads_while_the_database_is_away() {
    let backend = Backend::saying("here");
    let cluster = Cluster::new(3);
    let [first, second, third]: [Node; 3] = cluster.start();
    eventually("all nodes know each other", || known(&first).len() == 3);
    first.add_route("/kept", &backend.url(), &Value::Null);
    let alice = "/consumers/alice?wait=cluster&wait_timeout=60";
    assert_eq!(first.admin("PUT", alice, &json!({})).status, 200);
    for node in [&first, &second, &third] {
        eventually_answers(node, "/kept", 200);
    }
    eventually("the third has its copy", || copy_is_current(&third));
    third.crash();
    cluster.postgres().stop(Stop::Immediate).unwrap();
    for node in [&first, &second] {
        eventually_reachable(node, false);
    }
    let third = cluster.place(2).start();
    assert_eq!(third.get("/kept").status, 200);
    for node in [&first, &second, &third] {
        assert_eq!(node.get("/kept").status, 200);
        assert_eq!(node.get("/unknown").status, 404);
        let read = node.admin("GET", "/consumers/alice", &Value::Null);
        assert_eq!(read.status, 200, "{}", read.text());
        let stale = read.header("x-silverback-stale").unwrap();
        assert!(stale.ends_with('Z'), "{stale}");
        let missing = node.admin("GET", "/consumers/bob", &Value::Null);
        assert_eq!(missing.status, 404, "{}", missing.text());
        let write = node.admin("PUT", "/consumers/bob", &json!({}));
        assert_eq!(write.status, 503, "{}", write.text());
        assert!(write.header("retry-after").is_some());
        assert!(write.json()["message"].is_string());
        assert!(!is_reachable(node));
        assert_eq!(node.status_api("/status/ready").status, 200);
        let shown = node.configure("GET", "/cluster", &Value::Null);
        assert_eq!(shown["database"]["reachable"], json!(false), "{shown}");
        let metrics = node.status_api("/metrics").text();
        assert!(metrics.contains("kong_datastore_reachable 0"), "{metrics}");
    }

    cluster.postgres().resume().unwrap();
    for node in [&first, &second, &third] {
        eventually_reachable(node, true);
    }
    first.add_route("/later", &backend.url(), &Value::Null);
    for node in [&first, &second, &third] {
        eventually_answers(node, "/later", 200);
        let read = node.admin("GET", "/consumers/alice", &Value::Null);
        assert_eq!(read.header("x-silverback-stale"), None);
    }
}

/// Whether the node's copy has what its proxy serves.
pub fn copy_is_current(node: &Node) -> bool {
    let metrics = node.status_api("/metrics").text();
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::to_owned)
    };
    let copy = value("silverback_replica_version ");
    copy.is_some() && copy == value("silverback_config_version_applied ")
}

#[test]
fn a_database_that_is_silent_is_away() {
    let backend = Backend::saying("here");
    let cluster = Cluster::new(1).with("PG_TIMEOUT", "500");
    let [node]: [Node; 1] = cluster.start();
    node.add_route("/kept", &backend.url(), &Value::Null);
    eventually("the node has its copy", || copy_is_current(&node));
    cluster.postgres().pause().unwrap();
    eventually_reachable(&node, false);
    assert_eq!(node.get("/kept").status, 200);
    assert_eq!(node.admin("GET", "/services", &Value::Null).status, 200);
    assert_eq!(node.admin("PUT", "/consumers/a", &json!({})).status, 503);
    node.crash();
    let node = cluster.place(0).start();
    assert_eq!(node.get("/kept").status, 200);
    cluster.postgres().unpause().unwrap();
    eventually_reachable(&node, true);
    eventually("writes are possible again", || {
        node.admin("PUT", "/consumers/a", &json!({})).status == 200
    });
}

#[test]
fn a_strict_node_is_ready_only_with_its_database() {
    let cluster = Cluster::new(1).with("SILVERBACK_READINESS", "strict");
    let [node]: [Node; 1] = cluster.start();
    assert_eq!(node.status_api("/status/ready").status, 200);
    cluster.postgres().stop(Stop::Fast).unwrap();
    eventually("the node is not ready", || {
        let answer = node.status_api("/status/ready");
        answer.status == 503 && answer.json()["message"] == json!("failed to connect to database")
    });
    cluster.postgres().resume().unwrap();
    eventually("the node is ready again", || {
        node.status_api("/status/ready").status == 200
    });
}

#[test]
fn a_reload_needs_no_database() {
    let backend = Backend::saying("here");
    let cluster = Cluster::new(1);
    let place: &Place = cluster.place(0);
    let [node]: [Node; 1] = cluster.start();
    node.add_route("/kept", &backend.url(), &Value::Null);
    cluster.postgres().stop(Stop::Immediate).unwrap();
    eventually_reachable(&node, false);
    place.succeed(&["reload"]);
    assert_eq!(node.get("/kept").status, 200);
}

#[test]
fn a_killed_node_comes_back_and_has_what_it_missed() {
    let backend = Backend::saying("here");
    let cluster = Cluster::new(2);
    let [first, second]: [Node; 2] = cluster.start();
    second.crash();
    first.add_route("/missed", &backend.url(), &Value::Null);
    let second = cluster.place(1).start();
    assert_eq!(second.get("/missed").status, 200);
}

#[test]
fn an_embedded_store_is_a_cluster_of_one() {
    let place = Place::new();
    let node = place.start();
    let answer = node.admin("PUT", "/consumers/alice?wait=cluster", &json!({}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let nodes = known(&node);
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0]["lag"], json!(0));
}
