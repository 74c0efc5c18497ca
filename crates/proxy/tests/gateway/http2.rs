//! HTTP/2 on a plain connection, by prior knowledge.

use net::Stream;
use net::h2::{self, Settings};
use serde_json::json;

use crate::support::{Gateway, Upstream, body, header, service_and_route};

fn gateway(upstream: &Upstream) -> Gateway {
    Gateway::with(
        service_and_route(upstream.address, json!({}), json!({})),
        Default::default(),
        |spec| spec.http2 = true,
    )
}

/// Sends a request with a body over a connection of its own; gives the status, the headers and the body.
fn ask(
    gateway: &Gateway,
    method: &str,
    headers: &[(&str, &str)],
    sent: &'static str,
) -> (u16, http::HeaderMap, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let tcp = tokio::net::TcpStream::connect(gateway.address)
            .await
            .expect("a connection");
        let stream = Stream::from_tcp(tcp).expect("a stream");
        let (mut client, driver) = h2::connect(stream, &Settings::default())
            .await
            .expect("a handshake");
        let driver = tokio::spawn(driver);
        let mut request = http::Request::builder()
            .method(method)
            .uri("http://h.test/x?y=1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let (mut send, mut pending) = client.send(parts, sent.is_empty()).expect("a stream");
        if !sent.is_empty() {
            send.data(sent.into(), true).await.expect("a body");
        }
        let (head, mut received) = pending.head().await.expect("an answer");
        let mut text = String::new();
        while let Some(piece) = received.data().await {
            text.push_str(&String::from_utf8_lossy(&piece.expect("a piece")));
        }
        driver.abort();
        (head.status.as_u16(), head.headers, text)
    })
}

#[test]
fn a_request_is_translated_and_its_answer_comes_back() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    let gateway = gateway(&upstream);
    let (status, headers, text) = ask(
        &gateway,
        "POST",
        &[("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")],
        "hello",
    );
    assert_eq!((status, text.as_str()), (200, "ok"));
    assert!(
        headers.get("x-a").is_some()
            && headers.get("via").is_some()
            && headers.get("connection").is_none()
    );
    let request = upstream.request();
    assert!(request.starts_with("POST /x?y=1 HTTP/1.1\r\n"), "{request}");
    assert_eq!(
        (header(&request, "Content-Length"), body(&request)),
        (Some("5"), "hello")
    );
    assert_eq!(
        (
            header(&request, "Cookie"),
            header(&request, "X-Forwarded-Host"),
            header(&request, "TE")
        ),
        (Some("a=1; b=2"), Some("h.test"), Some("trailers"))
    );
    assert!(header(&request, "Via").is_some_and(|via| via.starts_with("2 silverback/")));
}

#[test]
fn an_error_of_ours_goes_over_http2_as_well() {
    let gateway = Gateway::with(vec![], Default::default(), |spec| spec.http2 = true);
    let (status, headers, text) = ask(&gateway, "GET", &[], "");
    assert_eq!(status, 404);
    assert!(headers.get("x-kong-request-id").is_some() && text.contains("no Route matched"));
}
