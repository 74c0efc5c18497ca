//! Upstreams that fail in every way: the client is told, nothing is sent twice that must not be, and the node goes on.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::{Value, json};
use testing::{Backend, Client, Node, Place, Then};

/// A service that does not try again and does not wait long.
fn impatient() -> Value {
    json!({ "retries": 0, "read_timeout": 300, "write_timeout": 300, "connect_timeout": 300 })
}

fn post(client: &mut Client, path: &str, body: &str) -> testing::Answer {
    client.exchange(format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// A port that nothing listens on.
fn refusing_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn every_fault_before_the_answer_is_a_gateway_error_and_the_connection_goes_on() {
    let place = Place::new();
    let mut node = place.start();
    let good = Backend::saying("here");
    node.add_route("/good", &good.url(), &Value::Null);
    let mut client = node.client();
    let reset = |bytes: &'static [u8]| Then::AnswerAndReset(bytes.to_vec());
    let close = |bytes: &'static [u8]| Then::AnswerAndClose(bytes.to_vec());
    for (name, then) in [
        ("closes", close(b"")),
        ("resets", reset(b"")),
        ("closes-mid-head", close(b"HTTP/1.1 200 OK\r\nContent-Le")),
        ("resets-mid-head", reset(b"HTTP/1.1 200 OK\r\nContent-Le")),
        ("garbage", close(b"\x00\x01\x02 not HTTP at all\r\n\r\n")),
        ("no-status", close(b"HTTP/1.1 abc OK\r\n\r\n")),
        ("two-lengths", close(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")),
        ("both-framings", close(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("unasked-upgrade", close(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")),
    ] {
        let backend = Backend::http(move |_| then.clone());
        let path = format!("/{name}");
        node.add_route(&path, &backend.url(), &impatient());
        for _ in 0..2 {
            let answer = client.get(&path);
            assert_eq!(answer.status, 502, "{name}: {}", answer.text());
            assert_eq!(post(&mut client, &path, "body").status, 502, "{name}");
        }
        assert_eq!(backend.received().len(), 4, "{name}");
        assert_eq!(client.get("/good").text(), "here", "{name}");
    }
    node.add_route("/refuses", &refusing_url(), &impatient());
    assert_eq!(client.get("/refuses").status, 502);
    node.assert_serves("/good");
}

#[test]
fn an_upstream_that_says_nothing_is_given_up_after_the_timeout_of_its_service() {
    let place = Place::new();
    let mut node = place.start();
    let backend = Backend::http(|_| Then::Hang);
    node.add_route("/silent", &backend.url(), &impatient());
    let half = Backend::http(|_| Then::Answer(b"HTTP/1.1 200 OK\r\nContent-".to_vec()));
    node.add_route("/half", &half.url(), &impatient());
    let mut client = node.client();
    assert_eq!(client.get("/silent").status, 504);
    assert_eq!(client.get("/half").status, 504);
    assert_eq!(post(&mut client, "/silent", "x").status, 504);
    assert_eq!(backend.received().len(), 2);
    let stalls = Backend::http(|_| {
        Then::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome".to_vec())
    });
    node.add_route("/stalls", &stalls.url(), &impatient());
    client.send("GET /stalls HTTP/1.1\r\nHost: test\r\n\r\n");
    let got = client.read_to_end();
    assert!(
        got.ends_with(b"some"),
        "{:?}",
        String::from_utf8_lossy(&got)
    );
    let good = Backend::saying("here");
    node.add_route("/good", &good.url(), &Value::Null);
    node.assert_serves("/good");
}

#[test]
fn a_transfer_may_take_longer_than_a_timeout_as_long_as_it_moves() {
    let place = Place::new().with("NGINX_HTTP_SEND_TIMEOUT", "400ms");
    let node = place.start();
    let slow_answer = Backend::raw(|mut socket, _| {
        let _ = socket.read(&mut [0; 4096]);
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
        for _ in 0..20 {
            pace();
            let _ = socket.write_all(b"x");
        }
    });
    node.add_route("/answer", &slow_answer.url(), &impatient());
    let upload = Backend::saying("here");
    node.add_route("/upload", &upload.url(), &impatient());
    let streamed = json!({ "request_buffering": false });
    node.configure("PATCH", "/routes/upload", &streamed);
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(node.get("/answer").text(), "x".repeat(20)));
        let mut client = node.client();
        client.send("POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 20\r\n\r\n");
        for _ in 0..20 {
            pace();
            client.send("x");
        }
        assert_eq!(client.receive().text(), "here");
    });
}

/// Lets a part of the shortest timeout pass; a sender that is slow is slow in time.
fn pace() {
    std::thread::park_timeout(Duration::from_millis(40));
}

#[test]
fn an_upstream_that_reads_nothing_is_given_up_after_the_timeout_of_its_service() {
    let place = Place::new();
    let mut node = place.start();
    // The script keeps the connection until the test ends, and never reads.
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let backend = Backend::raw(move |_socket, _| {
        let _ = held.lock().unwrap().recv();
    });
    node.add_route("/deaf", &backend.url(), &impatient());
    let mut client = node.client();
    let body = "x".repeat(32 << 20);
    let answer = post(&mut client, "/deaf", &body);
    assert_eq!(answer.status, 504, "{}", answer.text());
    drop(hold);
    let good = Backend::saying("here");
    node.add_route("/good", &good.url(), &Value::Null);
    node.assert_serves("/good");
}

#[test]
fn a_body_that_breaks_off_is_never_shown_as_complete() {
    let place = Place::new();
    let mut node = place.start();
    for (name, bytes, resets) in [
        (
            "length",
            &b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"[..],
            false,
        ),
        (
            "length-reset",
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            true,
        ),
        (
            "chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            false,
        ),
        (
            "bad-chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
            false,
        ),
        ("until-close-reset", b"HTTP/1.1 200 OK\r\n\r\nhalf", true),
    ] {
        let then = if resets {
            Then::AnswerAndReset(bytes.to_vec())
        } else {
            Then::AnswerAndClose(bytes.to_vec())
        };
        let backend = Backend::http(move |_| then.clone());
        node.add_route(&format!("/{name}"), &backend.url(), &impatient());
        let mut client = node.client();
        client.send(format!("GET /{name} HTTP/1.1\r\nHost: test\r\n\r\n"));
        match client.try_receive() {
            Err(_) => {}
            // A reset may overtake what was sent before it.
            Ok(answer) => assert_eq!(answer.status, 502, "{name}: {}", answer.text()),
        }
    }
    let good = Backend::saying("here");
    node.add_route("/good", &good.url(), &Value::Null);
    node.assert_serves("/good");
}

#[test]
fn bytes_after_an_answer_are_not_the_next_answer() {
    let place = Place::new();
    let node = place.start();
    for (name, bytes) in [
        ("length", &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"[..]),
        ("chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        ("nothing", b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
    ] {
        let backend = Backend::http(move |_| Then::Answer(bytes.to_vec()));
        node.add_route(&format!("/{name}"), &backend.url(), &Value::Null);
        let mut client = node.client();
        for _ in 0..10 {
            let answer = client.get(&format!("/{name}"));
            assert_ne!(answer.text(), "evil", "{name}");
        }
        assert_eq!(backend.received().len(), 10);
        assert_eq!(backend.connections(), 10, "{name}: such a connection is not used again");
    }
}

#[test]
fn a_kept_connection_that_ended_loses_and_doubles_no_request() {
    const REQUESTS: usize = 60;
    let place = Place::new().with("NGINX_WORKER_PROCESSES", "1");
    let node = place.start();
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let backend = Backend::http(move |request| {
        if request.connection % 3 == 0 {
            count.fetch_add(1, Ordering::SeqCst);
            // Without a word, right after the answer.
            Then::AnswerAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec())
        } else {
            Then::ok("ok")
        }
    });
    node.add_route("/r", &backend.url(), &Value::Null);
    let mut client = node.client();
    let mut answered = BTreeSet::new();
    for number in 0..REQUESTS {
        if number % 5 == 0 {
            backend.close_connections();
        }
        let body = format!("number {number}");
        let answer = post(&mut client, "/r", &body);
        assert!(
            matches!(answer.status, 200 | 502),
            "{}: {}",
            answer.status,
            answer.text()
        );
        if answer.status == 200 {
            answered.insert(body.into_bytes());
        }
    }
    let received = backend.received();
    let distinct: BTreeSet<Vec<u8>> = received.iter().map(|post| post.body.clone()).collect();
    assert_eq!(distinct.len(), received.len(), "a POST came twice");
    assert!(
        answered.is_subset(&distinct),
        "a POST was confirmed and never came"
    );
    // The proxy looks at a connection before it uses it; only one whose end is still on its way can fail a POST.
    let failed = REQUESTS - answered.len();
    assert!(failed <= ended.load(Ordering::SeqCst), "{failed} failed");
    for _ in 0..REQUESTS {
        backend.close_connections();
        assert_eq!(client.get("/r").status, 200, "a GET is tried again");
    }
}

/// An upstream entity with targets, and a route to it.
fn add_balanced(node: &Node<'_>, name: &str, targets: &[&Backend], more: &Value) {
    node.configure(
        "POST",
        "/upstreams",
        &json!({ "name": format!("{name}.up") }),
    );
    for target in targets {
        node.configure(
            "POST",
            &format!("/upstreams/{name}.up/targets"),
            &json!({ "target": target.address().to_string() }),
        );
    }
    node.add_route(&format!("/{name}"), &format!("http://{name}.up"), more);
}

#[test]
fn a_request_goes_to_another_target_where_that_is_safe() {
    let place = Place::new();
    let node = place.start();
    let failing = Backend::http(|_| Then::AnswerAndReset(Vec::new()));
    let good = Backend::saying("here");
    add_balanced(&node, "safe", &[&failing, &good], &Value::Null);
    let mut client = node.client();
    for _ in 0..20 {
        assert_eq!(client.get("/safe").text(), "here");
    }
    let tried = failing.received().len();
    assert!(tried > 0, "the first target was never asked");

    // What may have been processed is not sent again.
    let mut failures = 0;
    for number in 0..20 {
        let answer = post(&mut client, "/safe", &format!("number {number}"));
        failures += usize::from(answer.status == 502);
    }
    let bodies = |backend: &Backend| -> Vec<Vec<u8>> {
        let posts = backend.received().into_iter();
        posts
            .filter(|request| request.line().starts_with("POST"))
            .map(|request| request.body)
            .collect()
    };
    let (lost, taken) = (bodies(&failing), bodies(&good));
    assert_eq!(lost.len(), failures);
    assert_eq!(lost.len() + taken.len(), 20);
    let all: BTreeSet<Vec<u8>> = lost.into_iter().chain(taken).collect();
    assert_eq!(all.len(), 20, "a POST came twice");
}

#[test]
fn a_target_that_refuses_costs_no_request_whatever_its_method() {
    let place = Place::new();
    let node = place.start();
    let good = Backend::saying("here");
    let gone = Backend::saying("never");
    add_balanced(&node, "r", &[&gone, &good], &Value::Null);
    drop(gone);
    let mut client = node.client();
    for number in 0..20 {
        assert_eq!(client.get("/r").text(), "here");
        let body = format!("number {number}");
        assert_eq!(post(&mut client, "/r", &body).text(), "here");
    }
    assert_eq!(good.received().len(), 40);
}

#[test]
fn retries_are_counted() {
    let place = Place::new();
    let node = place.start();
    for retries in [0, 1, 5] {
        let backend = Backend::http(|_| Then::AnswerAndReset(Vec::new()));
        let path = format!("/r{retries}");
        node.add_route(&path, &backend.url(), &json!({ "retries": retries }));
        assert_eq!(node.get(&path).status, 502);
        assert_eq!(backend.received().len(), 1 + retries, "{retries} retries");
    }
}

#[test]
fn an_endless_answer_head_is_refused_and_costs_no_memory() {
    let place = Place::new();
    let mut node = place.start();
    let good = Backend::saying("here");
    node.add_route("/good", &good.url(), &Value::Null);
    let before = node.resident_mib();
    for (name, begin, piece) in [
        ("headers", "HTTP/1.1 200 OK\r\n", "X-A: b\r\n".repeat(1000)),
        ("line", "HTTP/1.1 200 OK\r\nX-A: ", "b".repeat(8000)),
        ("reason", "HTTP/1.1 200 ", "b".repeat(8000)),
        (
            "trailers",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            "X-A: b\r\n".repeat(1000),
        ),
        (
            "extension",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            "b".repeat(8000),
        ),
    ] {
        let backend = Backend::raw(move |mut socket, _| {
            // Until the proxy has enough, which is the point.
            let _ = socket.read(&mut [0; 4096]);
            let mut went = socket.write_all(begin.as_bytes());
            while went.is_ok() {
                went = socket.write_all(piece.as_bytes());
            }
        });
        let path = format!("/{name}");
        node.add_route(&path, &backend.url(), &json!({ "retries": 0 }));
        let mut client = node.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        match client.try_receive() {
            Ok(answer) => assert_eq!(answer.status, 502, "{name}"),
            Err(_) => assert!(client.is_closed(), "{name}"),
        }
        node.assert_serves("/good");
    }
    let grown = node.resident_mib().saturating_sub(before);
    assert!(grown < 30, "{grown} MiB more");
}
