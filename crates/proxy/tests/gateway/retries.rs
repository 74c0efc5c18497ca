//! Tries: as many as the service allows, and never of what may have been processed.

use std::io::Write;

use serde_json::json;

use crate::support::{Gateway, Upstream, service_and_route, status};

/// Closes the first connections after a request, and answers from then on.
fn closing_first(times: usize) -> Upstream {
    Upstream::behaving(move |number, stream, next| {
        while next(stream).is_some() {
            if number < times {
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    })
}

fn tried(upstream: &Upstream, service: serde_json::Value, method: &str) -> (u16, usize) {
    let gateway = Gateway::serving(service_and_route(upstream.address, service, json!({})));
    let answer = gateway.exchange(format!(
        "{method} /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
    ));
    (status(&answer), upstream.requests().len())
}

#[test]
fn an_idempotent_request_is_sent_again_with_its_body() {
    let upstream = closing_first(2);
    assert_eq!(tried(&upstream, json!({}), "PUT"), (200, 3));
    assert!(
        upstream
            .requests()
            .iter()
            .all(|request| request.ends_with("\r\n\r\nbody"))
    );
}

#[test]
fn other_requests_are_not_sent_again_once_they_left() {
    for method in ["POST", "PATCH"] {
        assert_eq!(
            tried(&closing_first(9), json!({}), method),
            (502, 1),
            "{method}"
        );
    }
}

#[test]
fn the_service_says_how_often() {
    assert_eq!(
        tried(&closing_first(9), json!({"retries": 2}), "PUT"),
        (502, 3)
    );
    assert_eq!(
        tried(&closing_first(9), json!({"retries": 0}), "PUT"),
        (502, 1)
    );
}

#[test]
fn a_timeout_is_a_504_and_another_try_for_what_is_idempotent() {
    let silent = || Upstream::behaving(|_, stream, next| while next(stream).is_some() {});
    let service = json!({"read_timeout": 60, "retries": 1});
    assert_eq!(tried(&silent(), service.clone(), "PUT"), (504, 2));
    assert_eq!(tried(&silent(), service, "POST"), (504, 1));
}

#[test]
fn a_refused_connection_is_tried_again_whatever_the_method() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a listener")
        .local_addr()
        .expect("an address");
    let gateway = Gateway::serving(service_and_route(port, json!({}), json!({})));
    assert_eq!(
        status(&gateway.exchange(
            "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
        )),
        502
    );
}

#[test]
fn the_next_target_of_an_upstream_takes_over() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a listener")
        .local_addr()
        .expect("an address");
    let live = Upstream::ok();
    let mut changes = service_and_route(live.address, json!({"host": "pool"}), json!({}));
    changes.push(crate::support::record(
        "upstreams",
        10,
        json!({"name": "pool", "algorithm": "round-robin", "slots": 100}),
    ));
    let upstream = json!({"id": uuid::Uuid::from_u128(10).to_string()});
    for (number, address) in [(11, dead), (12, live.address)] {
        let fields = json!({"target": address.to_string(), "weight": 100, "upstream": upstream, "created_at": number});
        changes.push(crate::support::record("targets", number, fields));
    }
    let gateway = Gateway::serving(changes);
    for _ in 0..4 {
        assert_eq!(
            status(&gateway.exchange(
                "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
            )),
            200
        );
    }
    assert_eq!(live.requests().len(), 4);
}

#[test]
fn an_upstream_without_targets_is_a_503() {
    let mut changes = service_and_route(
        ([127, 0, 0, 1], 1).into(),
        json!({"host": "pool"}),
        json!({}),
    );
    changes.push(crate::support::record(
        "upstreams",
        10,
        json!({"name": "pool", "algorithm": "round-robin", "slots": 100}),
    ));
    let answer = Gateway::serving(changes)
        .exchange("GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("failure to get a peer from the ring-balancer"));
}
