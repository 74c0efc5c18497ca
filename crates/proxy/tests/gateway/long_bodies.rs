//! Bodies that are long enough to go past the process, through a pipe of the system.

use std::io::{Read, Write};

use serde_json::json;

use crate::support::{Gateway, Upstream, body, eventually, service_and_route, status};

const GET: &str = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
const LAST: &str = "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// A body whose every part shows where it belongs.
fn numbered(length: usize) -> String {
    let mut text: String = (0..=length / 8).map(|at| format!("{at:07} ")).collect();
    text.truncate(length);
    text
}

fn answer(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn answers_of_many_lengths_arrive_whole_over_the_same_connections() {
    let lengths = [100_000, 10, 65_536, 32_768, 1_000_000, 0, 40_000, 300_000];
    for route in [json!({}), json!({"response_buffering": false})] {
        let upstream = Upstream::behaving(move |_, stream, next| {
            for length in lengths {
                if next(stream).is_none() {
                    return;
                }
                let _ = stream.write_all(answer(&numbered(length)).as_bytes());
            }
        });
        let gateway = Gateway::serving(service_and_route(upstream.address, json!({}), route));
        let mut client = gateway.connect();
        for length in lengths {
            client.send(GET);
            let head = client.until("\r\n\r\n");
            assert_eq!(status(&head), 200, "{head}");
            let mut got = vec![0; length];
            client.0.read_exact(&mut got).unwrap();
            assert!(got == numbered(length).as_bytes(), "{length}");
        }
        assert_eq!(upstream.connections(), 1);
    }
}

#[test]
fn a_long_answer_that_comes_in_pieces_arrives_whole() {
    let upstream = Upstream::behaving(|_, stream, next| {
        while next(stream).is_some() {
            for piece in answer(&numbered(200_000)).as_bytes().chunks(7_001) {
                let _ = stream.write_all(piece);
                std::thread::yield_now();
            }
        }
    });
    let gateway = Gateway::to(&upstream);
    for _ in 0..3 {
        assert!(body(&gateway.exchange(LAST)) == numbered(200_000));
    }
}

#[test]
fn a_client_that_takes_its_time_gets_everything_in_order() {
    // The last ones fit into what is read ahead when the client stalls.
    for length in [6_000_000, 3_000_000, 400_000, 300_000] {
        let upstream = Upstream::answering(answer(&numbered(length)));
        let gateway = Gateway::to(&upstream);
        for _ in 0..2 {
            let mut client = gateway.connect();
            client.send(LAST);
            let mut got = Vec::new();
            let mut piece = [0; 3_000];
            while let Ok(read @ 1..) = client.0.read(&mut piece) {
                got.extend_from_slice(&piece[..read]);
                std::thread::yield_now();
            }
            let got = String::from_utf8_lossy(&got);
            assert!(body(&got) == numbered(length), "{length}");
        }
    }
}

#[test]
fn a_long_answer_that_breaks_off_ends_the_connection() {
    let upstream = Upstream::behaving(|_, stream, next| {
        let whole = answer(&numbered(200_000));
        for part in [&whole[..], &whole[..150_000]] {
            if next(stream).is_some() {
                let _ = stream.write_all(part.as_bytes());
            }
        }
    });
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    client.until("\r\n\r\n");
    let mut whole = vec![0; 200_000];
    client.0.read_exact(&mut whole).unwrap();
    client.send(GET);
    let broken = client.rest();
    assert_eq!(upstream.connections(), 1);
    assert!(numbered(200_000).starts_with(body(&broken)));
    assert!(body(&broken).len() < 150_000);
}

#[test]
fn bytes_behind_a_long_answer_are_no_answer_to_the_next_request() {
    let upstream = Upstream::behaving(|_, stream, next| {
        while next(stream).is_some() {
            let stray = "HTTP/1.1 299 Stray\r\nContent-Length: 0\r\n\r\n";
            let both = format!("{}{stray}", answer(&numbered(100_000)));
            let _ = stream.write_all(both.as_bytes());
        }
    });
    let gateway = Gateway::to(&upstream);
    for sent in 1..=4 {
        let answered = gateway.exchange(LAST);
        assert_eq!((status(&answered), body(&answered).len()), (200, 100_000));
        assert_eq!(upstream.connections(), sent);
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_takes_the_upstream_connection_along() {
    let upstream = Upstream::answering(answer(&numbered(20_000_000)));
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    client.until("\r\n\r\n");
    drop(client);
    eventually("the exchange ends", || {
        gateway.shared.stats().connections().active == 0
    });
    let answered = gateway.exchange(LAST);
    assert!(body(&answered) == numbered(20_000_000));
    assert_eq!(upstream.connections(), 2);
}
