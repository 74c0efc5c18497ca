//! Services of the protocols grpc and grpcs: HTTP/2 upstreams, whatever the client speaks.

use std::sync::Arc;

use net::Stream;
use net::h2::{self, Settings};
use proxy::DataPlaneSettings;
use serde_json::json;

use crate::plugins::{Table, plugin};
use crate::support::{Gateway, body, header, service_and_route, snapshot, status};

#[test]
fn grpc_flows_through_with_its_trailers() {
    let upstream = grpc_upstream();
    let fields = service_and_route(
        upstream,
        json!({"protocol": "grpc"}),
        json!({"protocols": ["grpc"]}),
    );
    let gateway = Gateway::with(fields, Default::default(), |spec| spec.http2 = true);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let tcp = tokio::net::TcpStream::connect(gateway.address)
            .await
            .expect("a connection");
        let (mut client, driver) = h2::connect(
            Stream::from_tcp(tcp).expect("a stream"),
            &Settings::default(),
        )
        .await
        .expect("a handshake");
        let driver = tokio::spawn(driver);
        let request = http::Request::post("http://h.test/pkg.Service/Method")
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let (mut send, mut pending) = client.send(parts, false).expect("a stream");
        let (head, mut received) = {
            send.data("one".into(), false).await.expect("a piece");
            pending
                .head()
                .await
                .expect("a head before the request is over")
        };
        assert_eq!(
            head.headers.get("x-te").map(|value| value.as_bytes()),
            Some(&b"trailers"[..])
        );
        assert_eq!(
            received.data().await.expect("a piece").expect("a piece"),
            "one"
        );
        send.data("two".into(), true).await.expect("a piece");
        assert_eq!(
            received.data().await.expect("a piece").expect("a piece"),
            "two"
        );
        assert!(received.data().await.is_none());
        let trailers = received
            .trailers()
            .await
            .expect("an end")
            .expect("trailers");
        assert_eq!(
            trailers.get("grpc-status").map(|value| value.as_bytes()),
            Some(&b"0"[..])
        );
        driver.abort();
    });
}

/// An HTTP/2 upstream that sends every piece back at once, and a trailer.
fn grpc_upstream() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("a mode");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((tcp, _)) = listener.accept().await {
                let mut connection = h2::ServerConnection::handshake(
                    Stream::from_tcp(tcp).expect("a stream"),
                    &Settings::default(),
                )
                .await
                .expect("a handshake");
                tokio::spawn(async move {
                    while let Some(Ok(mut exchange)) = connection.accept().await {
                        tokio::spawn(async move {
                            let te = exchange.head.headers.get("te").cloned().expect("te");
                            let response = http::Response::builder()
                                .header("content-type", "application/grpc")
                                .header("x-te", te);
                            let (head, ()) = response.body(()).expect("a response").into_parts();
                            let mut send = exchange.respond.send_head(head, false).expect("a head");
                            while let Some(Ok(piece)) = exchange.body.data().await {
                                send.data(piece, false).await.expect("a piece");
                            }
                            let mut trailers = http::HeaderMap::new();
                            trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                            send.trailers(trailers).expect("trailers");
                        });
                    }
                });
            }
        });
    });
    address
}

/// A gateway for HTTP/1 clients to that upstream, with one plugin, and the plugin's journal.
fn gateway_with(does: &str) -> (Gateway, Table) {
    let table = Table::default();
    let service = json!({"protocol": "grpc"});
    let mut changes = service_and_route(grpc_upstream(), service, json!({}));
    changes.push(plugin(10, "a", does, json!({})));
    let snapshot = snapshot(changes, Arc::new(table.clone()));
    let gateway = Gateway::of(snapshot, DataPlaneSettings::default(), |_| {});
    (gateway, table)
}

const POST: &str = "POST /pkg.Service/Method HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";

#[test]
fn a_plugin_gets_the_trailers_with_the_last_piece_and_may_take_them() {
    let (gateway, _) = gateway_with("fold the trailers");
    let answer = gateway.exchange(POST);
    assert_eq!(
        body(&answer),
        "3\r\nabc\r\nf\r\ngrpc-status: 0\n\r\n0\r\n\r\n"
    );
    let (gateway, _) = gateway_with("");
    let answer = gateway.exchange(POST);
    assert_eq!(body(&answer), "3\r\nabc\r\n0\r\ngrpc-status: 0\r\n\r\n");
}

#[test]
fn an_answer_of_grpc_is_held_for_plugins_as_any_other() {
    let (gateway, table) = gateway_with("hold the answer");
    let answer = gateway.exchange(POST);
    assert_eq!(status(&answer), 201);
    assert_eq!(body(&answer), "3\r\ncba\r\n0\r\ngrpc-status: 0\r\n\r\n");
    assert_eq!(table.journal(), ["a response 3", "a log 201 upstream"]);
}

#[test]
fn a_plugin_may_answer_in_place_of_what_grpc_said() {
    let (gateway, table) = gateway_with("answer instead");
    let answer = gateway.exchange(POST);
    assert_eq!(status(&answer), 418);
    assert_eq!(table.journal(), ["a response 3", "a log 418 kong"]);
}

#[test]
fn grpc_gets_the_body_that_a_plugin_made_of_one_or_of_none() {
    let (gateway, _) = gateway_with("replace the body");
    assert_eq!(
        body(&gateway.exchange(POST)),
        "4\r\nABC!\r\n0\r\ngrpc-status: 0\r\n\r\n"
    );
    let get = "GET /x HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: close\r\n\r\n";
    assert_eq!(
        body(&gateway.exchange(get)),
        "1\r\n!\r\n0\r\ngrpc-status: 0\r\n\r\n"
    );
}

#[test]
fn the_head_of_a_grpc_answer_is_logged() {
    let (gateway, table) = gateway_with("only log");
    let answer = gateway.exchange(POST);
    assert_eq!(header(&answer, "Content-Type"), Some("application/grpc"));
    assert_eq!(table.journal(), ["a log 200 upstream"]);
}
