//! Answers that are right but unusual, and the parts of HTTP/1.1 between a request and its answer.

use serde_json::Value;
use testing::{Backend, Place, Then, eventually};

#[test]
fn a_client_that_waits_for_100_gets_it_only_if_its_body_is_wanted() {
    let backend = Backend::saying("here");
    let place = Place::new();
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    let mut client = node.client();
    for _ in 0..3 {
        client.send(
            "POST /r HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        );
        assert_eq!(client.receive().status, 100);
        assert_eq!(client.exchange("hello").text(), "here");
    }
    let received = backend.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|post| post.body == b"hello"));
    let mut client = node.client();
    let refused = client.exchange(
        "POST /none HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert_eq!(refused.status, 404);
}

#[test]
fn answers_without_a_body_do_not_disturb_the_next_one() {
    let backend = Backend::http(|request| {
        Then::Answer(match request.line().split('/').next_back() {
            Some("head") => b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec(),
            Some("head-chunked") => {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()
            }
            Some("204") => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            Some("304") => {
                b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"a\"\r\n\r\n".to_vec()
            }
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
        })
    });
    let place = Place::new().with("NGINX_WORKER_PROCESSES", "1");
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    // The path must reach the upstream.
    node.configure(
        "PATCH",
        "/routes/r",
        &serde_json::json!({ "strip_path": false }),
    );
    let mut client = node.client();
    for _ in 0..3 {
        for path in ["/r/head", "/r/head-chunked"] {
            client.send(format!("HEAD {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
            let answer = client.receive_head();
            assert_eq!(answer.status, 200, "{path}");
        }
        assert_eq!(client.get("/r/204").status, 204);
        let unchanged = client.get("/r/304");
        assert_eq!(
            (unchanged.status, unchanged.header("etag")),
            (304, Some("\"a\""))
        );
        assert_eq!(client.get("/r/empty").status, 200);
    }
    assert_eq!(backend.received().len(), 15);
    assert_eq!(
        backend.connections(),
        1,
        "the connection to the upstream is kept"
    );
}

#[test]
fn trailers_pass_in_both_directions() {
    let backend = Backend::http(|_| {
        Then::Answer(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n"
                .to_vec(),
        )
    });
    let place = Place::new();
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    node.configure(
        "PATCH",
        "/routes/r",
        &serde_json::json!({ "request_buffering": false }),
    );
    let mut client = node.client();
    client.send(
        "POST /r HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sent\r\n\r\n5\r\nhello\r\n",
    );
    // A body that has arrived as a whole is sent with its length, which leaves no place for trailers.
    eventually("the upstream is asked", || backend.connections() == 1);
    client.send("0\r\nX-Sent: 5\r\n\r\n");
    let answer = client.receive();
    assert_eq!(
        (answer.text().as_str(), answer.trailers.as_str()),
        ("abc", "X-Sum: 6\r\n")
    );
    let received = &backend.received()[0];
    assert_eq!(received.body, b"hello");
    assert_eq!(received.trailers, "X-Sent: 5\r\n");
}

#[test]
fn an_upgrade_that_the_upstream_refuses_is_an_answer_like_others() {
    let backend = Backend::http(|_| {
        Then::Answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_vec())
    });
    let place = Place::new();
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    let mut client = node.client();
    for _ in 0..2 {
        let answer = client.exchange(
            "GET /r HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    }
    let received = backend.received();
    assert_eq!(received[0].header("upgrade"), Some("websocket"));
    assert!(
        received[0]
            .header("connection")
            .is_some_and(|value| value.to_ascii_lowercase().contains("upgrade"))
    );
}

#[test]
fn an_early_answer_reaches_a_client_that_still_sends() {
    use std::io::{Read as _, Write as _};
    let backend = Backend::raw(|mut socket, _| {
        let mut some = [0; 1024];
        if socket.read(&mut some).is_ok_and(|length| length > 0) {
            let answer =
                b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch";
            socket.write_all(answer).unwrap();
        }
    });
    let place = Place::new();
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    node.configure(
        "PATCH",
        "/routes/r",
        &serde_json::json!({ "request_buffering": false }),
    );
    for _ in 0..5 {
        let mut client = node.client();
        client.send("POST /r HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\nabc");
        let answer = client.receive();
        assert_eq!((answer.status, answer.text().as_str()), (413, "much"));
    }
    assert!(node.is_running());
}

#[test]
fn a_body_of_every_size_arrives_as_it_was_sent() {
    let backend = Backend::http(|request| {
        let length = request.body.len();
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        answer.extend(&request.body);
        Then::Answer(answer)
    });
    let place = Place::new();
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    let mut client = node.client();
    for length in [0, 1, 8191, 8192, 65_535, 65_536, 65_537, 300_000, 5_000_000] {
        let body: Vec<u8> = (0..length).map(|index: u32| (index % 251) as u8).collect();
        let head = format!("POST /r HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n");
        let mut request = head.into_bytes();
        request.extend(&body);
        assert!(client.exchange(&request).body == body, "{length} bytes");
        let mut chunked =
            b"POST /r HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in body.chunks(10_007) {
            chunked.extend(format!("{:x}\r\n", chunk.len()).bytes());
            chunked.extend(chunk);
            chunked.extend(b"\r\n");
        }
        chunked.extend(b"0\r\n\r\n");
        assert!(
            client.exchange(&chunked).body == body,
            "{length} bytes in chunks"
        );
    }
    assert!(
        backend
            .received()
            .iter()
            .all(|request| request.line() == "POST /")
    );
}
