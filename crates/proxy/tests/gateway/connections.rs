//! Connections: kept, pipelined, drained, closed.

use std::time::Duration;

use crate::support::{Client, Gateway, Upstream, eventually, header, status};

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

/// Answers the first request in two pieces; the second one when a second message comes.
fn slow_upstream() -> Upstream {
    Upstream::behaving(|_, stream, next| {
        if next(stream).is_some() {
            let _ = std::io::Write::write_all(
                stream,
                b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslo",
            );
            // Holds the answer back until the gateway's side of the drain is seen.
            let _ = next(stream);
        }
    })
}

#[test]
fn a_drain_closes_idle_connections_after_its_grace_and_finishes_the_others() {
    let upstream = slow_upstream();
    let gateway = with_limits(&upstream, |limits| {
        limits.quit_grace = Duration::from_millis(20);
    });
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

/// Drains, and returns when the worker does: the client is answered until it is told that its connection ends.
fn drain(gateway: &Gateway, mut client: Client) {
    gateway.worker.drain(Duration::from_secs(3600));
    let mut connection = String::new();
    while connection != "close" {
        client.send("GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = client.until("}");
        assert_eq!(status(&answer), 404);
        connection = header(&answer, "Connection").unwrap_or_default().to_owned();
    }
    assert_eq!(client.rest(), "");
}

#[test]
fn a_request_on_an_idle_connection_is_served_by_a_gateway_that_drains() {
    let upstream = Upstream::ok();
    let gateway = with_limits(&upstream, |limits| {
        limits.quit_grace = Duration::from_secs(3600);
    });
    let mut fresh = gateway.connect();
    let mut used = gateway.connect();
    used.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    let answer = used.until("\r\n\r\nok");
    assert_eq!(header(&answer, "Connection"), Some("keep-alive"));
    eventually("both connections are open", || {
        gateway.shared.stats().connections().active == 2
    });
    drain(&gateway, used);
    fresh.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
    let answer = fresh.rest();
    assert_eq!(
        (status(&answer), header(&answer, "Connection")),
        (200, Some("close"))
    );
    eventually("nobody is left", || gateway.worker.is_finished());
}

#[test]
fn an_answer_that_begins_during_a_drain_is_the_last_of_its_connection() {
    let (asked, is_asked) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel();
    let (asked, released) = (
        std::sync::Mutex::new(asked),
        std::sync::Mutex::new(released),
    );
    let upstream = Upstream::behaving(move |_, stream, next| {
        if next(stream).is_some() {
            let _ = asked.lock().expect("a lock").send(());
            let _ = released.lock().expect("a lock").recv();
            let _ = std::io::Write::write_all(
                stream,
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            );
        }
    });
    let gateway = with_limits(&upstream, |_| {});
    let mut client = gateway.connect();
    client.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    is_asked.recv().expect("a request");
    drain(&gateway, gateway.connect());
    release.send(()).expect("an upstream that waits");
    let answer = client.rest();
    assert_eq!(header(&answer, "Connection"), Some("close"));
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

fn with_limits(upstream: &Upstream, change: impl FnOnce(&mut proxy::settings::Limits)) -> Gateway {
    let mut settings = proxy::DataPlaneSettings::default();
    change(&mut settings.limits);
    let changes = crate::support::service_and_route(
        upstream.address,
        serde_json::json!({}),
        serde_json::json!({"paths": ["/x"]}),
    );
    Gateway::with(changes, settings, |_| {})
}

#[test]
fn a_head_that_trickles_in_has_one_deadline_for_all_of_it() {
    let gateway = with_limits(&Upstream::ok(), |limits| {
        limits.header_timeout = Duration::from_millis(100)
    });
    let mut client = gateway.connect();
    client.send("GET /x HTTP/1.1\r\nHost: h\r\n");
    let bytes = std::io::Write::by_ref(&mut client.0)
        .try_clone()
        .expect("a clone");
    let dripping = std::thread::spawn(move || {
        let mut bytes = bytes;
        while std::io::Write::write_all(&mut bytes, b"X: 1\r\n").is_ok() {
            std::thread::yield_now();
        }
    });
    client.rest();
    dripping.join().expect("the end of the drip");
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let gateway = with_limits(&Upstream::ok(), |limits| {
        limits.keepalive_timeout = Duration::from_millis(60)
    });
    let mut client = gateway.connect();
    client.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(
        header(&client.until("\r\n\r\nok"), "Connection"),
        Some("keep-alive")
    );
    assert_eq!(client.rest(), "");
}

#[test]
fn a_connection_ends_after_its_number_of_requests() {
    let gateway = with_limits(&Upstream::ok(), |limits| limits.keepalive_requests = 2);
    let mut client = gateway.connect();
    client.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    let answer = client.rest();
    assert_eq!(
        (
            answer.matches("200 OK").count(),
            answer.matches("Connection: close").count()
        ),
        (2, 1)
    );
}

#[test]
fn a_client_that_stops_in_its_body_is_told() {
    let gateway = with_limits(&Upstream::ok(), |limits| {
        limits.body_timeout = Duration::from_millis(60)
    });
    let answer = gateway.exchange("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhel");
    assert_eq!(
        (status(&answer), header(&answer, "Connection")),
        (408, Some("close"))
    );
}

#[test]
fn a_client_that_goes_away_takes_its_request_along() {
    let (gone, wait) = std::sync::mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let upstream = Upstream::behaving(move |_, stream, next| {
        next(stream);
        // The gateway closes while no answer was sent.
        let end = std::io::Read::read(stream, &mut [0]).unwrap_or(0);
        let _ = gone.lock().expect("a lock").send(end);
    });
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.connect();
    client.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    eventually("the upstream has the request", || {
        upstream.requests().len() == 1
    });
    drop(client);
    assert_eq!(wait.recv_timeout(Duration::from_secs(20)), Ok(0));
    eventually("the exchange is counted", || {
        gateway.shared.stats().statuses() == [(499, 1)]
    });
}

#[test]
fn the_proxy_protocol_names_the_client() {
    let upstream = Upstream::ok();
    let settings = proxy::DataPlaneSettings {
        trusted_ips: vec!["127.0.0.0/8".parse().expect("a network")],
        real_ip_header: proxy::settings::RealIpHeader::ProxyProtocol,
        ..Default::default()
    };
    let changes = crate::support::service_and_route(
        upstream.address,
        serde_json::json!({}),
        serde_json::json!({}),
    );
    let gateway = Gateway::with(changes, settings, |spec| spec.proxy_protocol = true);
    gateway.exchange("PROXY TCP4 203.0.113.9 127.0.0.1 5000 80\r\nGET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(
        header(&upstream.request(), "X-Real-IP"),
        Some("203.0.113.9")
    );
    assert_eq!(
        gateway.exchange("GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
        ""
    );
}

#[test]
fn a_published_snapshot_serves_the_next_request_of_an_open_connection() {
    let upstream = Upstream::ok();
    let gateway = Gateway::serving(vec![]);
    let mut client = gateway.connect();
    client.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(status(&client.until("\"\n}")), 404);
    let changes = crate::support::service_and_route(
        upstream.address,
        serde_json::json!({}),
        serde_json::json!({}),
    );
    gateway
        .shared
        .publish(crate::support::plain_snapshot(changes));
    client.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(status(&client.until("\r\n\r\nok")), 200);
}

#[test]
fn every_exchange_has_its_line_in_the_access_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let log =
        proxy::access_log::AccessLog::open(&path, proxy::access_log::Format::Kong).expect("a log");
    let gateway = Gateway::to(&Upstream::ok());
    gateway
        .shared
        .configure(proxy::DataPlaneSettings::default(), Some(log));
    let answer = gateway.exchange("GET /x?y=1 HTTP/1.1\r\nHost: h\r\nUser-Agent: test\r\nAuthorization: Basic YWxpY2U6cHc=\r\nConnection: close\r\n\r\n");
    let id = header(&answer, "X-Kong-Request-Id").expect("an id");
    let end = format!("] \"GET /x?y=1 HTTP/1.1\" 200 2 \"-\" \"test\" kong_request_id: \"{id}\"\n");
    let read = || std::fs::read_to_string(&path).unwrap_or_default();
    eventually("the line is written", || read().ends_with(&end));
    assert!(read().starts_with("127.0.0.1 - alice ["));
}

#[test]
fn where_a_request_went_is_told_to_who_may_ask() {
    let upstream = Upstream::ok();
    for (allowed, expected) in [
        (true, Some("00000000-0000-0000-0000-000000000002")),
        (false, None),
    ] {
        let settings = proxy::DataPlaneSettings {
            debug_header: allowed,
            ..Default::default()
        };
        let changes = crate::support::service_and_route(
            upstream.address,
            serde_json::json!({"name": "s"}),
            serde_json::json!({}),
        );
        let gateway = Gateway::with(changes, settings, |_| {});
        let answer = gateway
            .exchange("GET /x HTTP/1.1\r\nHost: h\r\nKong-Debug: 1\r\nConnection: close\r\n\r\n");
        assert_eq!(
            (
                header(&answer, "Kong-Route-Id"),
                header(&answer, "Kong-Service-Name")
            ),
            (expected, expected.map(|_| "s"))
        );
    }
}
