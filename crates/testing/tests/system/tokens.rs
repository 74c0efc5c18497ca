//! Tokens of the plugin oauth2 on several nodes: they work at once where they were issued, everywhere soon, and without
//! the database; a code gives one.

use std::thread;

use serde_json::{Value, json};
use testing::{Answer, Backend, Cluster, Node, PATIENCE, Stop, eventually};

use crate::cluster::{copy_is_current, eventually_reachable};

/// Nodes on one database that believe who says that it ended TLS before them.
fn cluster(nodes: usize) -> Cluster {
    Cluster::new(nodes).with("TRUSTED_IPS", "127.0.0.1/32")
}

/// A route with the plugin, and an application of the consumer alice.
fn configure(nodes: &[Node], backend: &Backend) {
    let node = &nodes[0];
    node.add_route("/s", &backend.url(), &Value::Null);
    let settings = json!({
        "provision_key": "login", "enable_client_credentials": true, "enable_authorization_code": true,
        "accept_http_if_already_terminated": true,
    });
    let plugin = json!({ "name": "oauth2", "config": settings });
    node.configure("POST", "/routes/s/plugins", &plugin);
    node.configure("PUT", "/consumers/alice", &json!({}));
    let application = json!({
        "name": "app", "client_id": "app", "client_secret": "secret",
        "redirect_uris": ["https://app.test/back"],
    });
    node.configure("POST", "/consumers/alice/oauth2", &application);
    for node in nodes {
        eventually("the node issues tokens", || issue(node).status == 200);
        eventually("the node has its copy", || copy_is_current(node));
    }
}

fn post(node: &Node, path: &str, form: &str) -> Answer {
    let mut client = node.client().with_patience(PATIENCE);
    let length = form.len();
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\nContent-Length: {length}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}"
    ));
    client.receive()
}

const CLIENT: &str = "client_id=app&client_secret=secret";

fn issue(node: &Node) -> Answer {
    let form = format!("grant_type=client_credentials&{CLIENT}");
    post(node, "/s/oauth2/token", &form)
}

fn token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    body["access_token"].as_str().unwrap().to_owned()
}

fn open(node: &Node, token: &str) -> u16 {
    node.get(&format!("/s?access_token={token}")).status
}

#[test]
fn a_token_works_at_once_where_it_was_issued_and_soon_everywhere() {
    let backend = Backend::saying("here");
    let cluster = cluster(2);
    let nodes: [Node; 2] = cluster.start();
    configure(&nodes, &backend);
    for number in 0..40 {
        let (here, there) = (&nodes[number % 2], &nodes[(number + 1) % 2]);
        let token = token(&issue(here));
        assert_eq!(open(here, &token), 200, "{number}");
        eventually("the other node knows it", || open(there, &token) == 200);
    }
}

#[test]
fn of_all_nodes_that_redeem_a_code_at_once_one_gives_a_token() {
    let backend = Backend::saying("here");
    let cluster = cluster(2);
    let nodes: [Node; 2] = cluster.start();
    configure(&nodes, &backend);
    for _ in 0..10 {
        let ask = "provision_key=login&authenticated_userid=u&client_id=app&response_type=code";
        let answer = post(&nodes[0], "/s/oauth2/authorize", ask);
        let body = answer.json();
        let uri = body["redirect_uri"].as_str().unwrap();
        let (_, code) = uri.split_once("code=").unwrap();
        let form = format!("grant_type=authorization_code&{CLIENT}&code={code}");
        let answers: Vec<u16> = thread::scope(|scope| {
            let redeem = |number: usize| {
                let (node, form) = (&nodes[number % 2], &form);
                scope.spawn(move || post(node, "/s/oauth2/token", form).status)
            };
            let under_way: Vec<_> = (0..6).map(redeem).collect();
            let joined = under_way.into_iter().map(|one| one.join());
            joined.map(|status| status.unwrap()).collect()
        });
        let given = answers.iter().filter(|status| **status == 200).count();
        assert_eq!(given, 1, "{answers:?}");
        let refused = answers.iter().filter(|status| **status == 400).count();
        assert_eq!(refused, answers.len() - 1, "{answers:?}");
    }
}

#[test]
fn tokens_that_are_known_work_without_the_database_and_none_is_issued() {
    let backend = Backend::saying("here");
    let cluster = cluster(1);
    let nodes: [Node; 1] = cluster.start();
    configure(&nodes, &backend);
    let node = &nodes[0];
    let (used, unused) = (token(&issue(node)), token(&issue(node)));
    assert_eq!(open(node, &used), 200);
    cluster.postgres().stop(Stop::Immediate).unwrap();
    eventually_reachable(node, false);
    assert_eq!((open(node, &used), open(node, &unused)), (200, 200));
    eventually("nobody says that a token is wrong", || {
        open(node, "unknown") == 503
    });
    let answer = issue(node);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.json()["error"], "temporarily_unavailable");
    cluster.postgres().resume().unwrap();
    eventually("tokens are issued again", || issue(node).status == 200);
    assert_eq!(open(node, &used), 200);
}
