use serde_json::json;
use std::time::SystemTime;
use uuid::Uuid;

use super::*;

fn read(method: Method, header: Option<&str>, query: Value) -> Result<Wishes, Error> {
    let mut request = http::Request::builder().method(method);
    if let Some(value) = header {
        request = request.header(CONFIG_VERSION, value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    Wishes::read(&parts, query.as_object().unwrap())
}

#[test]
fn a_request_without_wishes_has_none() {
    assert_eq!(
        read(Method::GET, None, json!({})).unwrap(),
        Wishes::default()
    );
}

#[test]
fn a_read_may_need_a_version_and_a_write_only_asks_for_one() {
    let wishes = read(Method::GET, Some("17"), json!({})).unwrap();
    assert_eq!(wishes.at_least, Some(Version(17)));
    assert!(wishes.tell);
    let wishes = read(Method::POST, Some("any"), json!({})).unwrap();
    assert_eq!(wishes.at_least, None);
    assert!(wishes.tell);
    assert!(read(Method::GET, Some("newest"), json!({})).is_err());
}

#[test]
fn waiting_is_for_writes_and_has_a_bound() {
    let wait = |query| read(Method::POST, None, query).map(|wishes| wishes.wait);
    assert_eq!(wait(json!({ "wait": "cluster" })).unwrap(), Some(WAIT));
    assert_eq!(
        wait(json!({ "wait": "cluster", "wait_timeout": "0.5" })).unwrap(),
        Some(Duration::from_millis(500))
    );
    for query in [
        json!({ "wait": "everybody" }),
        json!({ "wait": "cluster", "wait_timeout": "-1" }),
        json!({ "wait": "cluster", "wait_timeout": "1e9" }),
        json!({ "wait": "cluster", "wait_timeout": "soon" }),
    ] {
        assert!(wait(query.clone()).is_err(), "{query}");
    }
    let read = read(Method::GET, None, json!({ "wait": "cluster" })).unwrap();
    assert_eq!(read, Wishes::default());
}

#[test]
fn laggards_are_named_as_far_as_a_header_should_go() {
    let node = |number: u128| ClusterNode {
        id: Uuid::from_u128(number),
        hostname: "gateway\r\n, one".to_owned(),
        addresses: Vec::new(),
        program: String::new(),
        started_at: SystemTime::UNIX_EPOCH,
        last_seen: SystemTime::UNIX_EPOCH,
        alive: true,
        applied: Version(0),
        lag: 1,
    };
    assert_eq!(
        names(&[node(1), node(2)]),
        "gatewayone/00000000-0000-0000-0000-000000000001, \
         gatewayone/00000000-0000-0000-0000-000000000002"
    );
    let many: Vec<_> = (0..25).map(node).collect();
    assert!(names(&many).ends_with(", and 5 more"));
}
