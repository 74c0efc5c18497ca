use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, request};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::Stream;
use crate::test_support::{PATIENCE, connected, eventually};

fn get(uri: &str) -> request::Parts {
    Request::get(uri).body(()).unwrap().into_parts().0
}

fn ok() -> http::response::Parts {
    Response::new(()).into_parts().0
}

/// A client, and a server that answers each request with `answer`.
async fn pair<A, F>(settings: Settings, answer: A) -> (Client, JoinHandle<Option<Error>>)
where
    A: Fn(Exchange) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (at_client, at_server) = connected().await;
    let server = tokio::spawn(async move {
        let mut connection = match ServerConnection::handshake(at_server, &settings).await {
            Ok(connection) => connection,
            Err(error) => return Some(error),
        };
        while let Some(next) = connection.accept().await {
            match next {
                Ok(exchange) => drop(tokio::spawn(answer(exchange))),
                Err(error) => return Some(error),
            }
        }
        None
    });
    let (client, driver) = connect(at_client, &Settings::default()).await.unwrap();
    tokio::spawn(driver);
    (client, server)
}

async fn read_all(body: &mut RecvBody) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    while let Some(chunk) = body.data().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(all)
}

/// Sends the body and the trailers of a request back.
async fn echo(mut exchange: Exchange) {
    let mut body = exchange.respond.send_head(ok(), false).unwrap();
    while let Some(Ok(chunk)) = exchange.body.data().await {
        if body.data(chunk, false).await.is_err() {
            return;
        }
    }
    match exchange.body.trailers().await {
        Ok(Some(trailers)) => body.trailers(trailers).unwrap(),
        Ok(None) => body.data(Bytes::new(), true).await.unwrap(),
        Err(_) => body.reset(Reason::Cancel),
    }
}

#[test]
fn the_preface_is_recognised_byte_by_byte() {
    for length in 0..PREFACE.len() {
        assert_eq!(sniff(&PREFACE[..length]), Sniff::NeedMore);
    }
    assert_eq!(sniff(PREFACE), Sniff::Http2);
    assert_eq!(sniff(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore"), Sniff::Http2);
    assert_eq!(sniff(b"P"), Sniff::NeedMore);
    assert_eq!(sniff(b"PO"), Sniff::Other);
    assert_eq!(sniff(b"PRI * HTTP/1.1\r\n"), Sniff::Other);
}

#[tokio::test]
async fn a_message_larger_than_the_windows_and_its_trailers_come_through() {
    let (mut client, _server) = pair(
        Settings {
            stream_window: 65_535,
            ..Settings::default()
        },
        echo,
    )
    .await;
    client.ready().await.unwrap();
    let (mut upload, mut pending) = client.send(get("http://a.test/echo"), false).unwrap();
    let sent: Vec<u8> = (0..5_000_000_u32)
        .map(|index| u8::try_from(index % 251).unwrap())
        .collect();
    let body = Bytes::from(sent.clone());
    let sending = async {
        upload.data(body, false).await.unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        upload.trailers(trailers).unwrap();
    };
    let receiving = async {
        let (head, mut body) = pending.head().await.unwrap();
        assert_eq!(head.status, 200);
        let all = read_all(&mut body).await.unwrap();
        (all, body.trailers().await.unwrap().unwrap())
    };
    let ((), (received, trailers)) = tokio::join!(sending, receiving);
    assert!(received == sent);
    assert_eq!(trailers["grpc-status"], "0");
}

#[tokio::test]
async fn a_message_without_a_body_ends_with_its_head() {
    let (mut client, _server) = pair(Settings::default(), async |exchange: Exchange| {
        assert!(exchange.body.is_end());
        assert_eq!(exchange.head.uri, "http://a.test/path?query");
        exchange.respond.send_head(ok(), true).unwrap();
    })
    .await;
    let (_upload, mut pending) = client.send(get("http://a.test/path?query"), true).unwrap();
    let (_, mut body) = pending.head().await.unwrap();
    assert!(body.is_end());
    assert!(body.data().await.is_none());
}

#[tokio::test]
async fn a_reader_that_stops_reading_stops_the_sender() {
    let (report, mut sent) = tokio::sync::watch::channel(0_usize);
    let answer = move |exchange: Exchange| {
        let report = report.clone();
        async move {
            let mut body = exchange.respond.send_head(ok(), false).unwrap();
            while body
                .data(Bytes::from_static(&[0; 16_384]), false)
                .await
                .is_ok()
            {
                report.send_modify(|sent| *sent += 16_384);
            }
        }
    };
    let (mut client, _server) = pair(Settings::default(), answer).await;
    let (_upload, mut pending) = client.send(get("http://a.test/"), true).unwrap();
    let (_, mut body) = pending.head().await.unwrap();
    body.data().await.unwrap().unwrap();
    // Nothing can grow beyond the window of the stream and the send buffer.
    let limit = 1024 * 1024 + 256 * 1024 + 16_384;
    eventually(|| *sent.borrow_and_update() >= 1024 * 1024).await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(*sent.borrow() <= limit, "{}", *sent.borrow());
    drop((body, pending));
}

#[tokio::test]
async fn a_cancelled_request_is_seen_by_the_one_who_answers_it() {
    let (report, mut reason) = tokio::sync::mpsc::channel(1);
    let answer = move |mut exchange: Exchange| {
        let report = report.clone();
        async move {
            let error = exchange.respond.closed().await;
            report
                .send(error.is_reset() && error.is_cancelled())
                .await
                .unwrap();
        }
    };
    let (mut client, _server) = pair(Settings::default(), answer).await;
    let (mut upload, _pending) = client.send(get("http://a.test/"), false).unwrap();
    upload.reset(Reason::Cancel);
    assert_eq!(reason.recv().await, Some(true));
}

#[tokio::test]
async fn a_refused_stream_may_be_sent_again_and_a_failed_one_may_not() {
    for (reason, refused) in [
        (Reason::Refused, true),
        (Reason::Internal, false),
        (Reason::Calm, false),
    ] {
        let (mut client, _server) =
            pair(Settings::default(), move |exchange: Exchange| async move {
                exchange.respond.reset(reason)
            })
            .await;
        let (_upload, mut pending) = client.send(get("http://a.test/"), true).unwrap();
        let Err(error) = pending.head().await else {
            panic!("answered")
        };
        assert_eq!(
            (error.is_reset(), error.is_refused()),
            (true, refused),
            "{reason:?}"
        );
    }
}

#[tokio::test]
async fn a_header_list_over_the_limit_is_refused() {
    let (mut client, _server) = pair(
        Settings {
            max_header_list_bytes: 4096,
            ..Settings::default()
        },
        echo,
    )
    .await;
    let mut head = get("http://a.test/");
    head.headers
        .insert("x-large", HeaderValue::from_bytes(&[b'a'; 5000]).unwrap());
    let (_upload, mut pending) = client.send(head, true).unwrap();
    let (head, _) = pending.head().await.unwrap();
    assert_eq!(head.status, 431);
}

#[tokio::test]
async fn a_client_knows_when_the_upstream_takes_no_more_streams() {
    let (mut client, _server) = pair(
        Settings {
            max_concurrent_streams: 2,
            ..Settings::default()
        },
        echo,
    )
    .await;
    let (mut first, mut pending) = client.send(get("http://a.test/1"), false).unwrap();
    let (_, body) = pending.head().await.unwrap();
    assert!(client.is_ready());
    let (_second, other) = client.send(get("http://a.test/2"), false).unwrap();
    eventually(|| !client.is_ready()).await;
    drop(body);
    first.data(Bytes::new(), true).await.unwrap();
    eventually(|| client.is_ready()).await;
    drop(other);
}

/// A frame: length, type, flags, stream, payload.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// GET http:// / with an empty authority, from the static table of HPACK.
const GET_ROOT: &[u8] = &[0x82, 0x86, 0x84];

/// How the library words ENHANCE_YOUR_CALM.
const CALM: &str = "excessive load";

/// Feeds raw bytes to a server after the preface and empty settings; how the connection ended.
async fn ends_with(settings: Settings, frames: &[u8]) -> String {
    let (mut client, server) = connected().await;
    let serve = tokio::spawn(async move {
        let mut connection = ServerConnection::handshake(server, &settings)
            .await
            .unwrap();
        let mut held = Vec::new();
        loop {
            match connection.accept().await {
                Some(Ok(exchange)) => held.push(exchange),
                Some(Err(error)) => return error.to_string(),
                None => return "end".to_owned(),
            }
        }
    });
    client.write_all(PREFACE).await.unwrap();
    client.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    // The server may close while it is being written to.
    let _ = client.write_all(frames).await;
    let mut sink = Vec::new();
    let drain = async {
        let _ = client.read_to_end(&mut sink).await;
    };
    let (ended, ()) = tokio::join!(tokio::time::timeout(PATIENCE, serve), drain);
    ended.expect("the connection never ended").unwrap()
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let mut frames = Vec::new();
    for stream in (1..2000).step_by(2) {
        frames.extend(frame(1, 0x5, stream, GET_ROOT));
        frames.extend(frame(3, 0, stream, &[0, 0, 0, 8]));
    }
    let ended = ends_with(Settings::default(), &frames).await;
    assert!(ended.contains(CALM), "{ended}");
}

#[tokio::test]
async fn a_flood_of_continuations_ends_the_connection() {
    let mut frames = frame(1, 0, 1, GET_ROOT);
    for _ in 0..5000 {
        frames.extend(frame(9, 0, 1, &[]));
    }
    let ended = ends_with(Settings::default(), &frames).await;
    assert!(ended.contains(CALM), "{ended}");
}

#[tokio::test]
async fn a_flood_of_stream_errors_ends_the_connection() {
    // A connection-specific header, which resets the stream.
    let malformed = [GET_ROOT, &[0x00, 10], b"connection", &[1], b"x"].concat();
    let mut frames = Vec::new();
    for stream in (1..2000).step_by(2) {
        frames.extend(frame(1, 0x5, stream, &malformed));
    }
    let ended = ends_with(
        Settings {
            max_error_resets: 16,
            ..Settings::default()
        },
        &frames,
    )
    .await;
    assert!(ended.contains(CALM), "{ended}");
}

#[tokio::test]
async fn garbage_after_the_preface_ends_the_connection() {
    let ended = ends_with(Settings::default(), &[0xff; 64]).await;
    assert!(ended.starts_with("HTTP/2: "), "{ended}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_pings_is_given_up() {
    let (mut silent, server) = connected().await;
    silent.write_all(PREFACE).await.unwrap();
    silent.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    let keepalive = KeepAlive {
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
    };
    let settings = Settings {
        keepalive: Some(keepalive),
        ..Settings::default()
    };
    let mut connection = ServerConnection::handshake(server, &settings)
        .await
        .unwrap();
    assert!(matches!(
        connection.accept().await,
        Some(Err(Error::Unresponsive))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_pings_is_kept() {
    let keepalive = KeepAlive {
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
    };
    let (_client, server) = pair(
        Settings {
            keepalive: Some(keepalive),
            ..Settings::default()
        },
        echo,
    )
    .await;
    tokio::time::advance(Duration::from_secs(31)).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    tokio::time::advance(Duration::from_secs(9)).await;
    assert!(!server.is_finished());
}

#[tokio::test]
async fn an_orderly_end_finishes_what_is_under_way_and_lets_the_rest_be_retried() {
    let (at_client, at_server) = connected().await;
    let (mut client, driver) = connect(at_client, &Settings::default()).await.unwrap();
    let driver = tokio::spawn(driver);
    let mut connection = ServerConnection::handshake(at_server, &Settings::default())
        .await
        .unwrap();
    let (_upload, mut pending) = client.send(get("http://a.test/"), true).unwrap();
    let exchange = connection.accept().await.unwrap().unwrap();
    assert!(!connection.is_idle());
    connection.shut_down();
    let answering = async {
        exchange.respond.send_head(ok(), true).unwrap();
        drop(exchange.body);
        while let Some(next) = connection.accept().await {
            assert!(next.is_err(), "a stream after the end");
        }
    };
    let (answer, ()) = tokio::join!(pending.head(), answering);
    assert_eq!(answer.unwrap().0.status, 200);
    driver.await.unwrap().unwrap();
    assert!(!client.is_ready());
}

#[tokio::test]
async fn a_malformed_request_is_reset_and_the_connection_goes_on() {
    let (mut client, _server) = pair(Settings::default(), echo).await;
    let mut head = get("http://a.test/");
    head.headers
        .insert("host", HeaderValue::from_static("b.test"));
    let (_upload, mut pending) = client.send(head, true).unwrap();
    assert!(pending.head().await.is_err_and(|error| error.is_reset()));
    let (_upload, mut pending) = client.send(get("http://a.test/"), true).unwrap();
    assert_eq!(pending.head().await.unwrap().0.status, 200);
}

#[test]
fn requests_that_http_1_would_not_survive_are_refused() {
    let check = |edit: fn(&mut request::Parts)| {
        let mut head = get("http://a.test/path");
        edit(&mut head);
        check_request(&head)
    };
    assert_eq!(check(|_| ()), Ok(()));
    assert_eq!(check(|head| add(head, "te", "trailers")), Ok(()));
    assert_eq!(check(|head| add(head, "host", "A.test")), Ok(()));
    assert_eq!(check(|head| add(head, "content-length", "12")), Ok(()));
    assert!(check(|head| add(head, "te", "gzip")).is_err());
    assert!(check(|head| add(head, "te", "trailers, gzip")).is_err());
    for name in [
        "connection",
        "transfer-encoding",
        "upgrade",
        "keep-alive",
        "proxy-connection",
    ] {
        let mut head = get("http://a.test/path");
        add(&mut head, name, "x");
        assert!(check_request(&head).is_err(), "{name}");
    }
    assert!(check(|head| add(head, "host", "b.test")).is_err());
    assert!(check(|head| (add(head, "host", "a.test"), add(head, "host", "a.test")).0).is_err());
    for length in ["", "+1", "1, 1", "0x1", "-1"] {
        let mut head = get("http://a.test/path");
        head.headers
            .append("content-length", HeaderValue::from_str(length).unwrap());
        assert!(check_request(&head).is_err(), "{length:?}");
    }
    assert!(check(|head| head.uri = "*".parse().unwrap()).is_err());
    assert!(
        check(|head| (head.uri, head.method) = ("*".parse().unwrap(), http::Method::OPTIONS))
            .is_ok()
    );
}

fn add(head: &mut request::Parts, name: &'static str, value: &'static str) {
    head.headers.append(name, HeaderValue::from_static(value));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_after_the_preface_panic_the_server(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut client, server): (Stream, Stream) = connected().await;
            client.write_all(PREFACE).await.unwrap();
            client.write_all(&frame(4, 0, 0, &[])).await.unwrap();
            client.write_all(&bytes).await.unwrap();
            drop(client);
            if let Ok(mut connection) = ServerConnection::handshake(server, &Settings::default()).await {
                while let Some(Ok(_)) = connection.accept().await {}
            }
        });
    }
}
