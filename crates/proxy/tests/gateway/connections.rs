//! Connections: kept, pipelined, drained, closed.

use std::time::Duration;

use crate::support::{Gateway, Upstream, eventually, header, status};

#[test]
fn a_connection_carries_one_request_after_the_other_and_so_does_the_upstream() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.connect();
    for _ in 0..3 {
        client.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = client.until("\r\n\r\nok");
        assert_eq!(
            (status(&answer), header(&answer, "Connection")),
            (200, Some("keep-alive"))
        );
    }
    assert_eq!((upstream.requests().len(), upstream.connections()), (3, 1));
}

#[test]
fn pipelined_requests_are_all_answered_in_order() {
    let upstream = Upstream::behaving(|_, stream, next| {
        while let Some(request) = next(stream) {
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            let _ = std::io::Write::write_all(
                stream,
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}",
                    path.len()
                )
                .as_bytes(),
            );
        }
    });
    let gateway = Gateway::to(&upstream);
    let answer = gateway.exchange("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let paths: Vec<_> = answer
        .split("\r\n\r\n")
        .skip(1)
        .map(|part| &part[..2])
        .collect();
    assert_eq!(paths, ["/1", "/2", "/3"], "{answer}");
}

#[test]
fn nothing_after_connection_close_is_processed() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    let answer = gateway.exchange("GET /one HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /two HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn http_1_0_is_kept_alive_only_if_it_asks() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    let answer = gateway.exchange("GET /x HTTP/1.0\r\n\r\n");
    assert_eq!(header(&answer, "Connection"), Some("close"));
    let mut client = gateway.connect();
    client.send("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(
        header(&client.until("\r\n\r\nok"), "Connection"),
        Some("keep-alive")
    );
}

#[test]
fn an_unread_body_does_not_become_the_next_request() {
    let upstream = Upstream::ok();
    let gateway = Gateway::serving(vec![]);
    let mut client = gateway.connect();
    client.send("POST /nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 35\r\n\r\nGET /inside HTTP/1.1\r\nHost: h\r\n\r\n!!GET /after HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let answer = client.rest();
    assert_eq!(answer.matches("HTTP/1.1 404").count(), 2, "{answer}");
    assert!(upstream.requests().is_empty());
}

#[test]
fn an_upstream_connection_with_unasked_bytes_is_not_used_again() {
    let upstream = Upstream::answering("HTTP/1.1 204 No Content\r\n\r\nleft over");
    let gateway = Gateway::to(&upstream);
    for _ in 0..2 {
        assert_eq!(
            status(&gateway.exchange("GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")),
            204
        );
    }
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn a_drain_closes_idle_connections_and_finishes_the_others() {
    let upstream = Upstream::behaving(|_, stream, next| {
        if next(stream).is_some() {
            let _ = std::io::Write::write_all(
                stream,
                b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslo",
            );
            // Holds the answer back until the gateway's side of the drain is seen.
            let _ = next(stream);
        }
    });
    let gateway = Gateway::to(&upstream);
    let mut idle = gateway.connect();
    let mut busy = gateway.connect();
    busy.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    busy.until("slo");
    eventually("both connections are open", || {
        gateway.shared.stats().connections().active == 2
    });
    gateway.worker.drain(Duration::from_millis(300));
    assert_eq!(idle.rest(), "");
    eventually("the deadline ends the drain", || {
        gateway.worker.is_finished()
    });
}

#[test]
fn the_counters_tell_what_happens() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    gateway.exchange("GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    gateway.exchange("BROKEN\r\n\r\n");
    eventually("the connections are over", || {
        gateway.shared.stats().connections().active == 0
    });
    let counted = gateway.shared.stats().connections();
    assert_eq!(
        (counted.accepted, counted.handled, counted.requests),
        (2, 2, 2)
    );
    assert_eq!(gateway.shared.stats().statuses(), [(200, 1), (400, 1)]);
}
