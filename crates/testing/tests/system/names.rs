//! Targets that are names, with a name server that answers, changes its mind, and hangs.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};
use testing::{Backend, NameServer, Node, Place, Record, Then, eventually};

/// A node that asks a name server and nobody else, and that gives up on it later than any client does.
fn place(server: &NameServer) -> Place {
    let place = Place::new();
    place.set("DNS_RESOLVER", server.address().to_string());
    // Answers that are out of date are good for a minute.
    place.set("DNS_STALE_TTL", "60");
    place
}

/// A backend that says which host it was asked for.
fn echo() -> Backend {
    Backend::http(|request| Then::ok(request.header("host").unwrap_or_default()))
}

fn service(backend: &Backend, priority: u16, weight: u16, target: &'static str) -> Record {
    Record::Srv {
        priority,
        weight,
        port: backend.address().port(),
        target,
    }
}

/// An upstream `u.test` with one target, and a route to it.
fn balance(node: &Node<'_>, upstream: &Value, target: &str) {
    node.configure("POST", "/upstreams", upstream);
    let target = json!({ "target": target });
    node.configure("POST", "/upstreams/u.test/targets", &target);
    node.add_route("/u", "http://u.test", &Value::Null);
}

/// How often each host was asked for in so many requests.
fn asked(node: &Node<'_>, requests: usize) -> BTreeMap<String, usize> {
    let mut client = node.client();
    let mut hosts = BTreeMap::new();
    for _ in 0..requests {
        let answer = client.get("/u");
        assert_eq!(answer.status, 200, "{}", answer.text());
        *hosts.entry(answer.text()).or_default() += 1;
    }
    hosts
}

#[test]
fn service_records_give_addresses_ports_weights_and_names() {
    let server = NameServer::start();
    let [one, two, spare] = [echo(), echo(), echo()];
    for name in ["one.test", "two.test", "spare.test"] {
        server.says(name, vec![Record::A(Ipv4Addr::LOCALHOST)]);
    }
    server.says(
        "pool.test",
        vec![
            service(&spare, 2, 100, "spare.test"),
            service(&one, 1, 20, "one.test"),
            service(&two, 1, 10, "two.test"),
        ],
    );
    let place = place(&server);
    let node = place.start();
    let upstream = json!({ "name": "u.test", "use_srv_name": true });
    balance(&node, &upstream, "pool.test:80");
    let host = |backend: &Backend, name: &str| format!("{name}:{}", backend.address().port());
    let wanted = [(host(&one, "one.test"), 20), (host(&two, "two.test"), 10)];
    assert_eq!(asked(&node, 30), wanted.into());
    let health = node.configure("GET", "/upstreams/u.test/health", &Value::Null);
    assert_eq!(health["data"][0]["data"]["dns"], "SRV", "{health}");
    // Without the option, the target's own name is the host.
    node.configure(
        "PATCH",
        "/upstreams/u.test",
        &json!({ "use_srv_name": false }),
    );
    let wanted = [(host(&one, "pool.test"), 20), (host(&two, "pool.test"), 10)];
    assert_eq!(asked(&node, 30), wanted.into());
    // What the records say a second later counts.
    server.says("pool.test", vec![service(&spare, 5, 0, "spare.test")]);
    let wanted = BTreeMap::from([(host(&spare, "pool.test"), 1)]);
    eventually("new records are used", || asked(&node, 1) == wanted);
}

#[test]
fn a_name_server_that_hangs_delays_no_request_to_a_known_address() {
    let server = NameServer::start();
    let [old, new] = [Backend::saying("old"), Backend::saying("new")];
    server.says("one.test", vec![Record::A(Ipv4Addr::LOCALHOST)]);
    server.says("pool.test", vec![service(&old, 1, 1, "one.test")]);
    let place = place(&server);
    let node = place.start();
    balance(&node, &json!({ "name": "u.test" }), "pool.test:80");
    node.add_route("/name", "http://pool.test", &Value::Null);
    let mut client = node.client();
    for path in ["/u", "/name"] {
        assert_eq!(client.get(path).text(), "old");
    }
    server.hang(true);
    eventually("names are asked for again", || {
        assert_eq!(client.get("/u").text(), "old");
        assert_eq!(client.get("/name").text(), "old");
        server.unanswered() > 0
    });
    // Who waits for the name server waits for seconds; a request that does so is given up here.
    let mut client = node.client().with_patience(Duration::from_millis(1500));
    for _ in 0..20 {
        for path in ["/u", "/name"] {
            assert_eq!(client.get(path).text(), "old");
        }
    }
    server.says("pool.test", vec![service(&new, 1, 1, "one.test")]);
    server.hang(false);
    for path in ["/u", "/name"] {
        eventually("the name server is heard again", || {
            node.client().get(path).text() == "new"
        });
    }
}
