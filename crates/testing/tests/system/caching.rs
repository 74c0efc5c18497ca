//! Answers out of a cache, over the wire and on several nodes.

use serde_json::{Value, json};
use testing::{
    Answer, Backend, Cluster, Node, PATIENCE, Place, Then, eventually, eventually_answers,
};

/// An upstream whose answers are long, tagged and numbered.
fn numbered(length: usize) -> Backend {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Backend::http(move |received| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: origin\r\nETag: \"{number}\"\r\n\
             Content-Length: {length}\r\n\r\n"
        )
        .into_bytes();
        if !received.line().starts_with("HEAD") {
            answer.extend(std::iter::repeat_n(b'x', length));
        }
        Then::Answer(answer)
    })
}

fn cached(node: &Node, url: &str) {
    node.add_route("/a", url, &Value::Null);
    let cache = json!({ "name": "proxy-cache", "config": { "strategy": "memory" } });
    node.configure("POST", "/services/a/plugins", &cache);
}

fn ask(node: &Node, method: &str, headers: &str) -> Answer {
    let mut client = node.client().with_patience(PATIENCE);
    client.send(format!(
        "{method} /a HTTP/1.1\r\nHost: gateway.test\r\nX-Forwarded-Port: 80\r\n{headers}\r\n"
    ));
    match method {
        "HEAD" => client.receive_head(),
        _ => client.receive(),
    }
}

fn cache_status(answer: &Answer) -> &str {
    answer.header("X-Cache-Status").unwrap_or_default()
}

#[test]
fn a_hit_looks_like_the_answer_of_the_upstream() {
    const LENGTH: usize = 3_000_000;
    let backend = numbered(LENGTH);
    let place = Place::new();
    let node = place.start();
    cached(&node, &backend.url());
    let miss = ask(&node, "GET", "");
    let hit = ask(&node, "GET", "");
    assert_eq!((cache_status(&miss), cache_status(&hit)), ("Miss", "Hit"));
    assert_eq!((miss.body.len(), &hit.body), (LENGTH, &miss.body));
    for name in ["Server", "ETag", "Content-Type", "Content-Length", "Via"] {
        assert_eq!(hit.header(name), miss.header(name), "{name}");
    }
    assert!(hit.header("X-Kong-Proxy-Latency").is_some());
    let length = LENGTH.to_string();
    for expected in ["Miss", "Hit"] {
        let head = ask(&node, "HEAD", "");
        assert_eq!(cache_status(&head), expected);
        assert_eq!(head.header("Content-Length"), Some(length.as_str()));
    }
    let unchanged = ask(&node, "GET", "If-None-Match: \"0\"\r\n");
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(backend.received().len(), 2);
    // A change of the plugin's settings keeps what is there.
    let plugins = node.configure("GET", "/services/a/plugins", &Value::Null);
    let id = plugins["data"][0]["id"].as_str().unwrap();
    let change = json!({ "config": { "cache_ttl": 299 } });
    node.configure("PATCH", &format!("/plugins/{id}"), &change);
    assert_eq!(cache_status(&ask(&node, "GET", "")), "Hit");
}

#[test]
fn a_purge_on_one_node_reaches_all() {
    let backend = numbered(10);
    // A balancer in front says which port clients know; those of the nodes themselves differ here.
    let cluster = Cluster::new(3).with("TRUSTED_IPS", "127.0.0.1");
    let nodes: [Node; 3] = cluster.start();
    cached(&nodes[0], &backend.url());
    for node in &nodes {
        eventually_answers(node, "/a", 200);
        eventually("the answer is in the cache", || {
            cache_status(&ask(node, "GET", "")) == "Hit"
        });
    }
    let key = ask(&nodes[0], "GET", "");
    let key = key.header("X-Cache-Key").unwrap().to_owned();
    for (path, node) in [
        (format!("/proxy-cache/{key}"), 1),
        ("/proxy-cache".to_owned(), 2),
    ] {
        let before = nodes.each_ref().map(|node| tag(node));
        assert_eq!(nodes[node].admin("DELETE", &path, &Value::Null).status, 204);
        for (node, before) in nodes.iter().zip(&before) {
            eventually("the answer is a new one", || tag(node) != *before);
        }
    }
    let listed = nodes[0].configure("GET", "/endpoints", &Value::Null);
    let listed = listed["data"].as_array().unwrap();
    assert!(listed.contains(&json!("/proxy-cache/{plugin_id}/caches/{cache_key}")));
}

/// Which answer of the upstream a node gives.
fn tag(node: &Node) -> String {
    ask(node, "GET", "").header("ETag").unwrap().to_owned()
}
