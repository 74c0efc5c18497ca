//! Comparison with two independent readers, httparse and hyper: what this engine accepts, they read as the same message.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use crate::support::{forward_requests, request, response};

const TARGETS: &[&str] = &["/", "/a/b?c=d", "/%7Ex", "/a//b", "/é"];
const HEADERS: &[&str] = &[
    "X-A: 1",
    "x-a:2",
    "Cookie: a=1; b=\"2\"",
    "Accept:  text/html, */* ",
    "X-Tab: a\tb",
    "X-Empty:",
    "User-Agent: é",
    "X_u: 1",
    "X-1: 1",
];
const BODIES: &[(&str, &str)] = &[
    ("", ""),
    ("Content-Length: 0\r\n", ""),
    ("Content-Length: 5\r\n", "hello"),
    ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    (
        "transfer-encoding: Chunked\r\n",
        "3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n",
    ),
];

fn messages() -> impl Strategy<Value = String> {
    let headers = proptest::collection::vec(proptest::sample::select(HEADERS), 0..12);
    let method = proptest::sample::select(&["GET", "POST", "PUT", "M-SEARCH"][..]);
    (
        method,
        proptest::sample::select(TARGETS),
        headers,
        proptest::sample::select(BODIES),
    )
        .prop_map(|(method, target, headers, (framing, body))| {
            let lines: String = headers
                .iter()
                .map(|header| format!("{header}\r\n"))
                .collect();
            format!("{method} {target} HTTP/1.1\r\nHost: h.test\r\n{lines}{framing}\r\n{body}")
        })
}

/// A request as its reader understood it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Understood {
    method: String,
    target: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// Sends bytes to a hyper server over memory and collects what it understood.
async fn understood_by_hyper(bytes: &[u8]) -> Vec<Understood> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (mut client, server) = tokio::io::duplex(1 << 20);
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let note = seen.clone();
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let note = note.clone();
        async move {
            let (head, body) = request.into_parts();
            if let Ok(body) = body.collect().await {
                let headers = head
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
                note.lock().unwrap().push(Understood {
                    method: head.method.to_string(),
                    target: head.uri.to_string().into_bytes(),
                    headers: headers.collect(),
                    body: body.to_bytes().to_vec(),
                });
            }
            Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::new())))
        }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(server), service)
        .await;
    let seen = seen.lock().unwrap();
    seen.clone()
}

fn hyper(bytes: &[u8]) -> Vec<Understood> {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(understood_by_hyper(bytes))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn httparse_reads_the_same_head(message in messages()) {
        let (head, left) = request(message.as_bytes()).unwrap();
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut theirs = httparse::Request::new(&mut headers);
        let length = theirs.parse(message.as_bytes()).unwrap().unwrap();
        prop_assert_eq!(message.len() - length, left.len());
        prop_assert_eq!(Some(head.method().as_str()), theirs.method);
        let fields: Vec<_> = head.headers.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
        let their_fields: Vec<_> = theirs.headers.iter().map(|field| (field.name.as_bytes().to_vec(), field.value.to_vec())).collect();
        prop_assert_eq!(fields, their_fields);
    }

    #[test]
    fn httparse_reads_the_same_response(status in 200u16..600, lines in proptest::collection::vec(proptest::sample::select(HEADERS), 0..12)) {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let message = format!("HTTP/1.1 {status} Fine By Me\r\n{lines}\r\n");
        let (head, _) = response(message.as_bytes()).unwrap();
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut theirs = httparse::Response::new(&mut headers);
        theirs.parse(message.as_bytes()).unwrap();
        prop_assert_eq!(Some(head.status()), theirs.code);
        prop_assert_eq!(Some(head.reason()), theirs.reason.map(str::as_bytes));
        let fields: Vec<_> = head.headers.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
        let their_fields: Vec<_> = theirs.headers.iter().map(|field| (field.name.as_bytes().to_vec(), field.value.to_vec())).collect();
        prop_assert_eq!(fields, their_fields);
    }

    #[test]
    fn hyper_understands_what_is_forwarded_as_what_was_sent(first in messages(), second in messages()) {
        let sent = [first.as_bytes(), second.as_bytes()].concat();
        let (forwarded, result) = forward_requests(&sent, usize::MAX);
        prop_assert_eq!(result, Ok(()));
        let before = hyper(&sent);
        let after = hyper(&forwarded);
        prop_assert_eq!(before.len(), 2);
        let essence = |all: Vec<Understood>| -> Vec<_> {
            all.into_iter().map(|one| {
                let mut headers = one.headers;
                headers.sort_by(|a, b| a.0.cmp(&b.0));
                headers.retain(|(name, _)| name != "transfer-encoding");
                (one.method, one.target, headers, one.body)
            }).collect()
        };
        prop_assert_eq!(essence(before), essence(after));
    }
}

#[test]
fn hyper_finds_one_message_in_everything_that_was_smuggled_once() {
    for attack in [
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 40\r\n\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\rContent-Length: 40\r\n\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\u{0}b\r\n\r\n",
    ] {
        let (forwarded, result) = forward_requests(attack.as_bytes(), usize::MAX);
        assert!(result.is_err(), "for {attack:?}");
        assert_eq!(forwarded, b"", "for {attack:?}");
    }
}
