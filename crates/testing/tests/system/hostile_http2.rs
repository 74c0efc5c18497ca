//! HTTP/2 clients that abuse what the protocol allows.

use std::io;

use serde_json::Value;
use testing::http2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, PREFACE,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get, header_block, read_frame,
};
use testing::{Backend, Client, Node, Place, Then, eventually, free_ports};

/// A node with a route `/r` and a port that speaks HTTP/2 without TLS.
fn place() -> (Place, u16) {
    let [h2c] = free_ports();
    let place = Place::new();
    let listen = format!("127.0.0.1:{}, 127.0.0.1:{h2c} http2", place.proxy);
    (place.with("PROXY_LISTEN", listen), h2c)
}

/// Opens a connection with settings of the client's.
fn open(port: u16, settings: &[u8]) -> Client {
    let mut client = Client::connect(port);
    client.send([PREFACE, &frame(SETTINGS, 0, 0, settings)].concat());
    client
}

/// A request without a body.
fn request(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/r"))
}

/// Reads frames until one satisfies.
fn read_until(client: &mut Client, mut satisfies: impl FnMut(&Frame) -> bool) -> io::Result<Frame> {
    loop {
        let frame = read_frame(client.reader())?;
        if satisfies(&frame) {
            return Ok(frame);
        }
    }
}

/// Fails unless a well-behaved client is served over HTTP/2.
fn assert_serves(node: &mut Node<'_>, port: u16) {
    let mut client = open(port, &[]);
    client.send(request(1));
    let head = read_until(&mut client, |frame| frame.kind == HEADERS).unwrap();
    // :status 200 is the eighth row of the static table (RFC 7541, appendix A).
    assert_eq!((head.stream, head.payload[0]), (1, 0x88));
    read_until(&mut client, |frame| {
        frame.kind == DATA && frame.flags & END_STREAM != 0
    })
    .unwrap();
    node.assert_serves("/r");
}

/// Sends pieces until the node has enough or all are sent; whether the node ended the connection.
fn flood(client: &mut Client, pieces: usize, mut piece: impl FnMut(u32) -> Vec<u8>) -> bool {
    for number in 0..pieces {
        if client
            .try_send(piece(u32::try_from(number).unwrap()))
            .is_err()
        {
            return true;
        }
    }
    // What is on its way may still be refused.
    read_until(client, |frame| frame.kind == GOAWAY).is_ok() || client.is_closed()
}

#[test]
fn streams_that_are_reset_at_once_cost_little() {
    const STREAMS: usize = 20_000;
    let backend = Backend::saying("here");
    let (place, port) = place();
    let mut node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    assert_serves(&mut node, port);
    let before = node.resident_mib();
    for _ in 0..5 {
        let mut client = open(port, &[]);
        let ended = flood(&mut client, STREAMS, |number| {
            let stream = number * 2 + 1;
            [
                request(stream),
                frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()),
            ]
            .concat()
        });
        assert!(ended, "the node bears {STREAMS} resets");
        assert_serves(&mut node, port);
    }
    let grown = node.resident_mib().saturating_sub(before);
    println!(
        "after rapid resets: {grown} MiB more; {} requests upstream",
        backend.received().len()
    );
    assert!(grown < 40, "{grown} MiB more");
}

#[test]
fn header_blocks_without_end_are_refused() {
    let backend = Backend::saying("here");
    let (place, port) = place();
    let mut node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    assert_serves(&mut node, port);
    let before = node.resident_mib();
    let filler = header_block(&[("x-filler", &"a".repeat(16_000))]);
    let empty: Vec<u8> = Vec::new();
    let references = vec![0x82; 16_000];
    for piece in [&filler, &empty, &references] {
        let mut client = open(port, &[]);
        client.send(frame(HEADERS, END_STREAM, 1, &get("/r")));
        let ended = flood(&mut client, 20_000, |_| frame(CONTINUATION, 0, 1, piece));
        assert!(ended);
        assert_serves(&mut node, port);
    }
    // A bomb: one row of the table, referred to again and again.
    let mut bomb = get("/r");
    bomb.push(0x40);
    bomb.extend([1, b'a', 0x7f, 0xa1, 0x1e]);
    bomb.extend(vec![b'b'; 4000]);
    bomb.extend(vec![0xbe; 12_000]);
    let mut client = open(port, &[]);
    let _ = client.try_send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb));
    let answer = read_until(&mut client, |frame| {
        matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY)
    });
    if let Ok(answer) = answer {
        assert!(
            answer.kind != HEADERS || answer.payload[0] != 0x88,
            "{answer:?}"
        );
    }
    assert_serves(&mut node, port);
    let grown = node.resident_mib().saturating_sub(before);
    assert!(grown < 40, "{grown} MiB more");
}

#[test]
fn floods_of_control_frames_do_not_pile_up() {
    let backend = Backend::saying("here");
    let (place, port) = place();
    let mut node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    assert_serves(&mut node, port);
    let before = node.resident_mib();
    let floods: [(&str, Vec<u8>); 5] = [
        ("pings", frame(PING, 0, 0, &[0; 8])),
        ("settings", frame(SETTINGS, 0, 0, &[])),
        ("acknowledgements", frame(SETTINGS, ACK, 0, &[])),
        (
            "window updates",
            frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes()),
        ),
        ("unknown frames", frame(77, 0, 0, &[0; 100])),
    ];
    for (name, piece) in floods {
        let mut client = open(port, &[]);
        let many = piece.repeat(100);
        let socket = client.socket().try_clone().unwrap();
        socket.set_nonblocking(true).unwrap();
        // The answers are not read; when the node stops reading, it has done what it should.
        for _ in 0..2000 {
            if client.try_send(&many).is_err() {
                break;
            }
        }
        assert_serves(&mut node, port);
        let grown = node.resident_mib().saturating_sub(before);
        assert!(grown < 40, "{name}: {grown} MiB more");
    }
}

#[test]
fn answers_that_nobody_takes_are_bounded() {
    let body = "x".repeat(1 << 20);
    let backend = Backend::http(move |_| Then::ok(&body));
    let (place, port) = place();
    let mut node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    node.assert_serves("/r");
    let before = node.resident_mib();
    // A window of nothing: the answers wait.
    let no_window = [0, 4, 0, 0, 0, 0];
    let clients: Vec<Client> = (0..5)
        .map(|_| {
            let mut client = open(port, &no_window);
            for number in 0..100 {
                client.send(request(number * 2 + 1));
            }
            let mut heads = 0;
            while heads < 100 {
                read_until(&mut client, |frame| frame.kind == HEADERS).unwrap();
                heads += 1;
            }
            client
        })
        .collect();
    let grown = node.resident_mib().saturating_sub(before);
    println!("500 answers of 1 MiB that nobody takes: {grown} MiB more");
    assert!(grown < 200, "{grown} MiB more");
    drop(clients);
    assert_serves_small(&mut node, port);
    eventually("the upstream connections are freed", || {
        node.open_files() < 600
    });
}

fn assert_serves_small(node: &mut Node<'_>, port: u16) {
    let mut client = open(port, &[]);
    client.send(request(1));
    read_until(&mut client, |frame| frame.kind == HEADERS).unwrap();
    node.assert_serves("/r");
}

#[test]
fn broken_frames_end_the_connection_and_nothing_else() {
    let backend = Backend::saying("here");
    let (place, port) = place();
    let mut node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    let smuggled = |fields: &[(&str, &str)]| {
        let mut all = vec![
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "test"),
            (":path", "/r"),
        ];
        all.extend(fields);
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &header_block(&all))
    };
    for bad in [
        frame(DATA, 0, 0, b"x"),
        frame(DATA, 0, 1, b"x"),
        frame(CONTINUATION, END_HEADERS, 1, b""),
        frame(HEADERS, END_HEADERS, 0, &get("/r")),
        frame(HEADERS, END_HEADERS, 2, &get("/r")),
        frame(HEADERS, END_HEADERS, 1, &[0xff; 100]),
        frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]).repeat(2),
        frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff]),
        frame(SETTINGS, 0, 0, b"odd"),
        frame(PING, 0, 1, &[0; 8]),
        frame(RST_STREAM, 0, 1, &[0; 4]),
        [&frame(DATA, 0, 1, &vec![0; 20_000])[..9], &vec![0; 20_000]].concat(),
        smuggled(&[("transfer-encoding", "chunked")]),
        smuggled(&[("connection", "close")]),
        smuggled(&[("content-length", "5")]),
        smuggled(&[("x", "a\r\nX-Evil: b")]),
        smuggled(&[("x\r\nX-Evil", "b")]),
        smuggled(&[("X-Upper", "b")]),
        smuggled(&[(":path", "/other")]),
        smuggled(&[("x", "a\0b")]),
    ] {
        let mut client = open(port, &[]);
        let _ = client.try_send(&bad);
        let refused = read_until(&mut client, |frame| {
            matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY)
        });
        if let Ok(refused) = refused {
            assert!(
                refused.kind != HEADERS || refused.payload[0] != 0x88,
                "{bad:?}: {refused:?}"
            );
        }
    }
    assert_eq!(backend.received().len(), 0, "{:?}", backend.received());
    assert_serves(&mut node, port);
}

#[test]
fn http2_over_tls_is_served_beside_http1() {
    let backend = Backend::saying("here");
    let place = Place::new();
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    let mut client =
        Client::connect_tls(place.proxy_tls, "localhost", &["h2", "http/1.1"]).unwrap();
    client.send([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
    for stream in [1, 3, 5] {
        client.send(request(stream));
        let head = read_until(&mut client, |frame| frame.kind == HEADERS).unwrap();
        assert_eq!((head.stream, head.payload[0]), (stream, 0x88));
    }
    // A reload leaves the streams of a connection alone.
    place.succeed(&["reload"]);
    client.send(request(7));
    let head = read_until(&mut client, |frame| frame.kind == HEADERS).unwrap();
    assert_eq!((head.stream, head.payload[0]), (7, 0x88));
    // Who offers nothing gets HTTP/1.1.
    let mut old = Client::connect_tls(place.proxy_tls, "localhost", &[]).unwrap();
    assert_eq!(old.get("/r").text(), "here");
    node.signal(testing::Signal::SIGQUIT);
    read_until(&mut client, |frame| frame.kind == GOAWAY).unwrap();
    // The node asks whether the client knows by now, and ends the connection then.
    let ping = read_until(&mut client, |frame| frame.kind == PING).unwrap();
    client.send(frame(PING, ACK, 0, &ping.payload));
    read_until(&mut client, |frame| frame.kind == GOAWAY).unwrap();
    assert!(client.is_closed());
    assert!(node.wait().success());
}

#[test]
fn a_connection_without_requests_ends_after_its_time() {
    let backend = Backend::saying("here");
    let (place, port) = place();
    let place = place.with("NGINX_HTTP_KEEPALIVE_TIMEOUT", "1s");
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    let mut unused = open(port, &[]);
    let mut used = open(port, &[]);
    used.send(request(1));
    read_until(&mut used, |frame| {
        frame.kind == DATA && frame.flags & END_STREAM != 0
    })
    .unwrap();
    for client in [&mut unused, &mut used] {
        let goodbye = read_until(client, |frame| frame.kind == GOAWAY);
        assert!(goodbye.is_ok() || client.is_closed(), "{goodbye:?}");
    }
}
