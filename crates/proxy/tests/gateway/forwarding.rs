//! What the upstream is told.

use proxy::DataPlaneSettings;
use serde_json::json;

use crate::support::{Gateway, Upstream, header, service_and_route};

#[test]
fn order_case_and_duplicates_of_headers_pass_through() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    gateway.exchange("GET /x HTTP/1.1\r\nHost: h\r\nX-B: 1\r\nx-A: 2\r\nX-b: 3\r\nCookie: a=1\r\nX_Under: 4\r\nCookie: b=2\r\nConnection: close\r\n\r\n");
    let request = upstream.request();
    let names: Vec<_> = request
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, _)| name)
        .collect();
    let position = |name: &str| {
        names
            .iter()
            .position(|found| *found == name)
            .expect("the header")
    };
    assert!(
        position("X-B") < position("x-A")
            && position("x-A") < position("X-b")
            && position("X-b") < position("X_Under")
    );
    assert_eq!(names.iter().filter(|name| **name == "Cookie").count(), 2);
}

#[test]
fn each_request_of_a_connection_has_the_host_and_the_path_that_it_names() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.connect();
    let asked = [
        ("A.test", "/long/path"),
        ("b.test:81", "/"),
        ("b.test:81", "/c?d"),
        ("A.test", "/a"),
    ];
    for (host, target) in asked {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.until("\r\n\r\nok");
    }
    let requests = upstream.requests();
    let told: Vec<_> = requests
        .iter()
        .map(|request| {
            let target = request.split(' ').nth(1).unwrap_or_default();
            (
                header(request, "X-Forwarded-Host").unwrap_or_default(),
                target,
            )
        })
        .collect();
    let expected = [
        ("a.test", "/long/path"),
        ("b.test", "/"),
        ("b.test", "/c?d"),
        ("a.test", "/a"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_upstream_learns_about_the_client() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    gateway.exchange("GET /a?b=1 HTTP/1.1\r\nHost: Client.Test:8080\r\nX-Forwarded-For: 203.0.113.9\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Host: spoof\r\nConnection: close\r\n\r\n");
    let request = upstream.request();
    assert!(request.starts_with("GET /a?b=1 HTTP/1.1\r\n"), "{request}");
    let port = gateway.address.port().to_string();
    for (name, value) in [
        ("Host", upstream.address.to_string().as_str()),
        ("X-Forwarded-For", "203.0.113.9, 127.0.0.1"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "client.test"),
        ("X-Forwarded-Port", port.as_str()),
        ("X-Forwarded-Path", "/a"),
        ("X-Real-IP", "127.0.0.1"),
        ("Connection", "keep-alive"),
    ] {
        assert_eq!(header(&request, name), Some(value), "{name}");
    }
    assert_eq!(header(&request, "X-Forwarded-Prefix"), None);
    assert_eq!(
        header(&request, "X-Kong-Request-Id").map(str::len),
        Some(32)
    );
    assert!(header(&request, "Via").is_some_and(|via| via.starts_with("1.1 silverback/")));
}

#[test]
fn what_a_trusted_peer_says_about_the_client_is_believed() {
    let upstream = Upstream::ok();
    let settings = DataPlaneSettings {
        trusted_ips: vec!["127.0.0.0/8".parse().expect("a network")],
        ..DataPlaneSettings::default()
    };
    let gateway = Gateway::with(
        service_and_route(upstream.address, json!({}), json!({})),
        settings,
        |_| {},
    );
    gateway.exchange("GET /x HTTP/1.1\r\nHost: h\r\nX-Real-IP: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: edge.test\r\nX-Forwarded-Prefix: /p\r\nConnection: close\r\n\r\n");
    let request = upstream.request();
    assert_eq!(header(&request, "X-Real-IP"), Some("203.0.113.9"));
    assert_eq!(header(&request, "X-Forwarded-For"), Some("203.0.113.9"));
    assert_eq!(header(&request, "X-Forwarded-Proto"), Some("https"));
    assert_eq!(header(&request, "X-Forwarded-Host"), Some("edge.test"));
    assert_eq!(header(&request, "X-Forwarded-Prefix"), Some("/p"));
}

#[test]
fn hop_by_hop_and_identity_headers_stay_here() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    gateway.exchange(
        "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close, X-Drop\r\nX-Drop: 1\r\nKeep-Alive: 5\r\nProxy: http://evil\r\nProxy-Connection: close\r\nTE: gzip, trailers\r\n\
         X-Consumer-Username: root\r\nX_Consumer_Id: 1\r\nX-Kept: 1\r\n\r\n",
    );
    let request = upstream.request();
    for name in [
        "X-Drop",
        "Keep-Alive",
        "Proxy",
        "Proxy-Connection",
        "X-Consumer-Username",
        "X_Consumer_Id",
    ] {
        assert_eq!(header(&request, name), None, "{name}");
    }
    assert_eq!(
        (header(&request, "X-Kept"), header(&request, "TE")),
        (Some("1"), Some("trailers"))
    );
}

#[test]
fn a_nominated_forwarding_header_cannot_be_removed_by_the_client() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    gateway.exchange(
        "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close, X-Forwarded-For, X-Real-IP, Host\r\n\r\n",
    );
    let request = upstream.request();
    assert_eq!(header(&request, "X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(header(&request, "X-Real-IP"), Some("127.0.0.1"));
    assert!(header(&request, "Host").is_some());
}

#[test]
fn a_stripped_path_is_told_as_the_prefix() {
    let upstream = Upstream::ok();
    let gateway = Gateway::serving(service_and_route(
        upstream.address,
        json!({"path": "/up"}),
        json!({"paths": ["/api"]}),
    ));
    gateway.exchange("GET /api/x?q HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let request = upstream.request();
    assert!(request.starts_with("GET /up/x?q HTTP/1.1\r\n"), "{request}");
    assert_eq!(header(&request, "X-Forwarded-Prefix"), Some("/api"));
}

#[test]
fn the_host_of_an_absolute_target_wins_and_can_be_preserved() {
    let upstream = Upstream::ok();
    let gateway = Gateway::serving(service_and_route(
        upstream.address,
        json!({}),
        json!({"preserve_host": true}),
    ));
    gateway.exchange(
        "GET http://right.test:81/x HTTP/1.1\r\nHost: wrong.test\r\nConnection: close\r\n\r\n",
    );
    let request = upstream.request();
    assert!(request.starts_with("GET /x HTTP/1.1\r\n"), "{request}");
    assert_eq!(
        (
            header(&request, "Host"),
            header(&request, "X-Forwarded-Host")
        ),
        (Some("right.test:81"), Some("right.test"))
    );
}
