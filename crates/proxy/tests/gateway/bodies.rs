//! Request bodies.

use std::io::Write;

use proxy::DataPlaneSettings;
use serde_json::json;

use crate::support::{Gateway, Upstream, body, header, service_and_route, status};

#[test]
fn a_chunked_body_is_buffered_and_gets_a_length() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    gateway.exchange("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n");
    let request = upstream.request();
    assert_eq!(
        (
            header(&request, "Content-Length"),
            header(&request, "Transfer-Encoding"),
            body(&request)
        ),
        (Some("11"), None, "hello world")
    );
}

#[test]
fn a_body_in_pieces_arrives_whole() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.connect();
    for piece in [
        "POST /x HTTP/1.1\r\nHo",
        "st: h\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhel",
        "lo",
        "12345",
    ] {
        client.send(piece);
        client.0.flush().expect("a flush");
    }
    assert_eq!(status(&client.rest()), 200);
    assert_eq!(body(&upstream.request()), "hello12345");
}

#[test]
fn a_large_body_goes_through_a_file_and_arrives_whole() {
    let upstream = Upstream::ok();
    for route in [json!({}), json!({"request_buffering": false})] {
        let gateway = Gateway::serving(service_and_route(upstream.address, json!({}), route));
        let sent = "0123456789abcdef".repeat(100_000);
        let answer = gateway.exchange(format!(
            "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{sent}",
            sent.len()
        ));
        assert_eq!(status(&answer), 200);
        assert!(body(upstream.requests().last().expect("a request")) == sent);
    }
}

#[test]
fn an_unbuffered_chunked_body_stays_chunked_with_its_trailers() {
    let upstream = Upstream::ok();
    let gateway = Gateway::serving(service_and_route(
        upstream.address,
        json!({}),
        json!({"request_buffering": false}),
    ));
    let mut client = gateway.connect();
    client.send("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n");
    crate::support::eventually("the upstream is asked before the body ends", || {
        upstream.connections() == 1
    });
    client.send("1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n");
    assert_eq!(status(&client.rest()), 200);
    let request = upstream.request();
    assert_eq!(header(&request, "Transfer-Encoding"), Some("chunked"));
    assert_eq!(
        body(&request),
        "5\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n"
    );
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.connect();
    client.send("POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
    assert_eq!(client.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(status(&client.rest()), 200);
    let request = upstream.request();
    assert_eq!(
        (header(&request, "Expect"), body(&request)),
        (None, "hello")
    );
}

#[test]
fn a_body_that_breaks_off_reaches_nobody() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.connect();
    client.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhel");
    client
        .0
        .shutdown(std::net::Shutdown::Write)
        .expect("a half-close");
    assert_eq!(client.rest(), "");
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_body_over_the_limit_is_refused_announced_or_not() {
    let upstream = Upstream::ok();
    let mut settings = DataPlaneSettings::default();
    settings.limits.body = 10;
    let gateway = Gateway::with(
        service_and_route(upstream.address, json!({}), json!({})),
        settings,
        |_| {},
    );
    for request in [
        "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world".to_owned(),
        format!(
            "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
            "5\r\nhello\r\n".repeat(3)
        ),
    ] {
        let answer = gateway.exchange(&request);
        assert_eq!(
            (status(&answer), header(&answer, "Connection")),
            (413, Some("close")),
            "{answer}"
        );
        assert!(answer.contains("Payload too large"));
    }
    assert!(upstream.requests().is_empty());
    assert_eq!(status(&gateway.exchange("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhello worl")), 200);
}

#[test]
fn an_empty_body_keeps_its_length_of_zero() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    gateway
        .exchange("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(header(&upstream.request(), "Content-Length"), Some("0"));
}
