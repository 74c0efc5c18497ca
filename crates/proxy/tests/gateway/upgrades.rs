//! Protocol changes: a tunnel only after 101, in both directions, with half-closes.

use std::io::{Read, Write};

use crate::support::{Gateway, Upstream, header, status};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";

#[test]
fn bytes_flow_both_ways_after_101() {
    let upstream = Upstream::behaving(|_, stream, next| {
        next(stream);
        let _ = stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\nhello");
        let mut echoed = [0; 4];
        let _ = stream.read_exact(&mut echoed);
        let _ = stream.write_all(&echoed);
    });
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.connect();
    client.send([UPGRADE, "ping"].concat());
    let head = client.until("\r\n\r\n");
    assert_eq!(
        (
            status(&head),
            header(&head, "Upgrade"),
            header(&head, "Sec-WebSocket-Accept")
        ),
        (101, Some("websocket"), Some("a"))
    );
    assert_eq!(client.rest(), "helloping");
    let request = upstream.request();
    assert_eq!(
        (header(&request, "Connection"), header(&request, "Upgrade")),
        (Some("keep-alive, Upgrade"), Some("websocket"))
    );
}

#[test]
fn an_upstream_that_declines_answers_as_usual() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.connect();
    client.send(UPGRADE);
    let answer = client.until("\r\n\r\nok");
    assert_eq!(
        (status(&answer), header(&answer, "Connection")),
        (200, Some("keep-alive"))
    );
    // What follows is the next request, and no tunnel.
    client.send("GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&client.rest()), 200);
    assert!(upstream.requests()[1].starts_with("GET /next "));
}

#[test]
fn a_change_to_another_protocol_or_without_connection_is_not_asked_for() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    for extra in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n",
        "Connection: Upgrade\r\nUpgrade: foo/2\r\n",
        "Connection: Upgrade\r\nUpgrade: foo, websocket\r\n",
        "Upgrade: websocket\r\n",
    ] {
        let mut client = gateway.connect();
        client.send(format!("GET /x HTTP/1.1\r\nHost: h\r\n{extra}\r\n"));
        client.until("\r\n\r\nok");
    }
    for request in upstream.requests() {
        assert_eq!(
            (
                header(&request, "Upgrade"),
                header(&request, "HTTP2-Settings"),
                header(&request, "Connection")
            ),
            (None, None, Some("keep-alive"))
        );
    }
}

#[test]
fn a_change_that_was_not_passed_on_is_not_believed() {
    let upstream = Upstream::closing(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo/2\r\n\r\n",
    );
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.connect();
    client
        .send("GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, close\r\nUpgrade: foo/2\r\n\r\n");
    assert_eq!(status(&client.rest()), 502);
}
