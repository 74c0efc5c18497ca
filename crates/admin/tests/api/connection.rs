//! Whole connections, as bytes.

use std::time::Duration;

use admin::{Limits, serve_connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::oneshot;

use crate::Api;

/// A connection to the Admin API; the sender shuts it down.
fn connect(api: &Api, limits: Limits) -> (DuplexStream, oneshot::Sender<()>) {
    let (client, server) = tokio::io::duplex(64 * 1024);
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        let _ = stopped.await;
    };
    tokio::spawn(serve_connection(
        server,
        api.admin.clone(),
        limits,
        shutdown,
    ));
    (client, stop)
}

async fn exchange(api: &Api, limits: Limits, bytes: &[u8]) -> String {
    let (mut client, _stop) = connect(api, limits);
    client.write_all(bytes).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let api = Api::start();
    let bytes = b"GET /services HTTP/1.1\r\nHost: a\r\n\r\nGET /services HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = exchange(&api, Limits::default(), bytes).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2);
    assert_eq!(answer.matches("connection: keep-alive").count(), 1);
    assert_eq!(answer.matches("connection: close").count(), 1);
}

#[tokio::test]
async fn an_answer_without_content_has_no_length() {
    let bytes = b"DELETE /services/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = exchange(&Api::start(), Limits::default(), bytes).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(!answer.contains("content-length"), "{answer}");
}

#[tokio::test]
async fn a_request_that_is_not_http_or_has_too_many_headers_is_refused() {
    let api = Api::start();
    let answer = exchange(&api, Limits::default(), b"HELLO\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101));
    let answer = exchange(&api, Limits::default(), many.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_arrive_ends_the_connection() {
    let limits = Limits {
        head_timeout: Duration::from_secs(5),
        ..Limits::default()
    };
    // Some could still become HTTP/2.
    let heads: [&[u8]; 4] = [
        b"GET /services HTTP/1.1\r\nHost:",
        b"GET",
        b"PRI * HTTP",
        b"",
    ];
    for head in heads {
        let answer = exchange(&Api::start(), limits, head).await;
        assert!(!answer.contains("200"), "{answer}");
    }
}

#[tokio::test]
async fn http2_is_refused_where_the_listener_does_not_speak_it() {
    let limits = Limits {
        http2: false,
        ..Limits::default()
    };
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let answer = exchange(&Api::start(), limits, preface).await;
    assert!(!answer.contains("200"), "{answer}");
}

#[tokio::test]
async fn shutdown_closes_an_idle_connection() {
    let api = Api::start();
    let (mut client, stop) = connect(&api, Limits::default());
    client
        .write_all(b"GET /services HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    client.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    stop.send(()).unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
}
