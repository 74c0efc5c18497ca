//! What the gateway answers by itself.

use net::tls::{ServerTls, ServerTlsSettings};
use proxy::DataPlaneSettings;
use serde_json::json;

use crate::support::{Gateway, Upstream, body, header, record, service_and_route, status};

#[test]
fn no_route_and_no_service_are_told_in_json() {
    let gateway = Gateway::serving(vec![record(
        "routes",
        2,
        json!({"paths": ["/alone"], "protocols": ["http"]}),
    )]);
    let answer = gateway.exchange("GET /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(
        (status(&answer), header(&answer, "Content-Type")),
        (404, Some("application/json; charset=utf-8"))
    );
    let id = header(&answer, "X-Kong-Request-Id").expect("an id");
    assert_eq!(
        body(&answer),
        format!(
            "{{\n  \"message\":\"no Route matched with those values\",\n  \"request_id\":\"{id}\"\n}}"
        )
    );
    assert!(
        header(&answer, "X-Kong-Response-Latency").is_some() && header(&answer, "Via").is_none()
    );
    let answer = gateway.exchange("GET /alone HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("no Service found with those values"));
}

#[test]
fn a_head_request_gets_the_head_of_the_error_alone() {
    let answer = Gateway::serving(vec![])
        .exchange("HEAD /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(
        (
            status(&answer),
            header(&answer, "Content-Length"),
            body(&answer)
        ),
        (404, Some("103"), "")
    );
}

#[test]
fn plain_http_to_an_https_route_is_refused_or_redirected() {
    let upstream = Upstream::ok();
    for (code, expected) in [
        (426, None),
        (301, Some("https://sec.test/a?b=1")),
        (308, Some("https://sec.test/a?b=1")),
    ] {
        let route = json!({"protocols": ["https"], "https_redirect_status_code": code});
        let gateway = Gateway::serving(service_and_route(upstream.address, json!({}), route));
        let answer = gateway
            .exchange("GET /a?b=1 HTTP/1.1\r\nHost: Sec.test:80\r\nConnection: close\r\n\r\n");
        assert_eq!(
            (status(&answer), header(&answer, "Location")),
            (code, expected),
            "{answer}"
        );
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn an_upstream_that_refuses_is_a_502_in_the_form_that_the_client_accepts() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a listener")
        .local_addr()
        .expect("an address");
    let gateway = Gateway::serving(service_and_route(port, json!({}), json!({})));
    for (accept, length) in [
        ("text/html", "266"),
        ("application/xml", "193"),
        ("text/plain", "103"),
    ] {
        let answer = gateway.exchange(format!(
            "GET /x HTTP/1.1\r\nHost: h\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        ));
        assert_eq!(
            (status(&answer), header(&answer, "Content-Length")),
            (502, Some(length)),
            "{answer}"
        );
        assert!(header(&answer, "Via").is_some());
    }
}

#[test]
fn a_grpc_route_wants_http2_and_grpc() {
    let upstream = Upstream::ok();
    let gateway = Gateway::serving(service_and_route(
        upstream.address,
        json!({"protocol": "grpc"}),
        json!({"protocols": ["grpc"]}),
    ));
    let answer = gateway.exchange("POST /x HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(
        (status(&answer), header(&answer, "Upgrade")),
        (426, Some("HTTP/2"))
    );
    let answer = gateway.exchange("GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&answer), 415);
}

#[test]
fn plain_http_to_a_port_for_tls_gets_a_page_that_says_so() {
    let upstream = Upstream::ok();
    let changes = service_and_route(upstream.address, json!({}), json!({}));
    let gateway = Gateway::with(changes, DataPlaneSettings::default(), |spec| {
        spec.ssl = true;
    });
    let tls = ServerTls::new(&ServerTlsSettings::default()).expect("the default settings");
    gateway.shared.set_server_tls(Some(tls));
    let answer = gateway.exchange("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(
        (
            status(&answer),
            header(&answer, "Content-Type"),
            header(&answer, "Connection")
        ),
        (400, Some("text/html; charset=UTF-8"), Some("close"))
    );
    assert!(
        body(&answer).contains("<center>The plain HTTP request was sent to HTTPS port</center>")
    );
    let answer = gateway.exchange("nonsense\r\n\r\n");
    assert_eq!(status(&answer), 400);
    assert_eq!(upstream.connections(), 0);
}
