use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use fleet::Upstream;

use super::*;

fn traffic(server: SocketAddr, expected: &str) -> Traffic {
    Traffic {
        server,
        host: "drill.test".to_owned(),
        path: "/drill/".to_owned(),
        headers: "apikey: key-{key}\r\n".to_owned(),
        keys: 10,
        expected: expected.to_owned(),
        method: Method::Get,
        rate: 500,
    }
}

fn run_until(load: Load, enough: impl FnMut() -> bool) -> Tally {
    crate::wait::until(Duration::from_secs(30), enough).unwrap();
    load.finish().unwrap()
}

#[test]
fn good_answers_are_counted_as_good() {
    let upstream = Upstream::start("upstream").unwrap();
    let expected = "GET {path} HTTP/1.1 at upstream\n";
    let load = Load::start(traffic(upstream.address(), expected)).unwrap();
    let tally = run_until(load, || upstream.requests() > 100);
    assert!(tally.sent > 100, "{tally:?}");
    assert_eq!((tally.failed, tally.wrong), (0, 0), "{tally:?}");
}

#[test]
fn the_answer_to_another_request_is_wrong() {
    let upstream = Upstream::start("upstream").unwrap();
    let load = Load::start(traffic(upstream.address(), "GET /other HTTP/1.1")).unwrap();
    let tally = run_until(load, || upstream.requests() > 100);
    assert_eq!((tally.failed, tally.wrong), (0, tally.sent), "{tally:?}");
}

#[test]
fn a_server_that_breaks_off_makes_requests_fail() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = std::sync::Arc::clone(&served);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            // The head, and less of the body than it says; the client may be gone by then.
            let _ = socket.read(&mut [0; 1024]);
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let load = Load::start(traffic(address, "")).unwrap();
    let tally = run_until(load, || {
        served.load(std::sync::atomic::Ordering::SeqCst) > 20
    });
    assert_eq!((tally.failed, tally.wrong), (tally.sent, 0), "{tally:?}");
}
