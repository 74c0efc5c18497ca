//! Clients that want to harm: whatever they send, the node goes on serving others, and its memory stays bounded.

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use stdx::SeededRandom;
use testing::{Backend, Client, Node, Place, Then, eventually, free_ports};

/// Short limits on slow clients.
fn strict_place() -> Place {
    Place::new()
        .with("NGINX_HTTP_CLIENT_HEADER_TIMEOUT", "1s")
        .with("NGINX_HTTP_CLIENT_BODY_TIMEOUT", "1s")
        .with("NGINX_HTTP_SEND_TIMEOUT", "1s")
        .with("NGINX_HTTP_KEEPALIVE_TIMEOUT", "1s")
}

fn serving<'a>(place: &'a Place, backend: &Backend) -> Node<'a> {
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    node
}

#[test]
fn slow_heads_and_bodies_end_after_their_time() {
    let backend = Backend::saying("here");
    let place = strict_place();
    let mut node = serving(&place, &backend);
    let mut slow: Vec<Client> = (0..300)
        .map(|number| {
            let mut client = node.client();
            match number % 4 {
                0 => {}
                1 => client.send("GET /r HTTP/1.1\r\nHost: te"),
                2 => {
                    client.send("POST /r HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nabc")
                }
                _ => client
                    .send("POST /r HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5"),
            }
            client
        })
        .collect();
    node.assert_serves("/r");
    // One that gives a byte now and then: a head has a time as a whole.
    let mut dripping = node.client().with_patience(Duration::from_millis(50));
    dripping.send("GET /r HTTP/1.1\r\nHost: test\r\n");
    eventually("the dripping client is cut off", || {
        dripping.try_send("X").is_err() || dripping.is_closed()
    });
    for client in &mut slow {
        let said = client.read_to_end();
        let said = String::from_utf8_lossy(&said);
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 408"),
            "{said}"
        );
    }
    let mut idle = node.client();
    assert_eq!(idle.get("/r").status, 200);
    assert!(idle.is_closed(), "an idle connection ends after its time");
    node.assert_serves("/r");
    assert_eq!(
        backend.received().len(),
        3,
        "only whole requests reach the upstream"
    );
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut_off_and_its_upstream_freed() {
    let backend = Backend::raw(|mut socket, number| {
        use std::io::Read as _;
        let _ = socket.read(&mut [0; 1024]);
        if number == 0 {
            let mut went = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while went.is_ok() {
                went = socket.write_all(&[b'x'; 65_536]);
            }
        } else {
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let place = strict_place();
    let mut node = serving(&place, &backend);
    let before = node.resident_mib();
    let mut client = node.client();
    client.send("GET /r HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the upstream is asked", || backend.connections() == 1);
    eventually("the client is cut off", || {
        let metrics = node.status_api("/status").json();
        // The connection that asks is one of them.
        metrics["server"]["connections_active"] == json!(0)
            || metrics["server"]["connections_active"] == json!(1)
    });
    let grown = node.resident_mib().saturating_sub(before);
    assert!(grown < 20, "{grown} MiB more");
    node.assert_serves("/r");
}

#[test]
fn thousands_of_idle_clients_cost_little() {
    const CLIENTS: usize = 3000;
    let backend = Backend::saying("here");
    let place = Place::new();
    let mut node = serving(&place, &backend);
    node.assert_serves("/r");
    let (memory, files) = (node.resident_mib(), node.open_files());
    let clients: Vec<Client> = (0..CLIENTS)
        .map(|number| {
            let mut client = node.client();
            match number % 3 {
                0 => {}
                1 => client.send("GET /r HTTP/1.1\r\nHost: te"),
                _ => assert_eq!(client.get("/none").status, 404),
            }
            client
        })
        .collect();
    node.assert_serves("/r");
    let grown = node.resident_mib().saturating_sub(memory);
    println!("{CLIENTS} idle clients: {grown} MiB more than {memory} MiB");
    assert!(grown < 40, "{grown} MiB more");
    drop(clients);
    eventually("their descriptors are closed", || {
        node.open_files() < files + 50
    });
    node.assert_serves("/r");
}

#[test]
fn endless_heads_are_refused_early() {
    let backend = Backend::saying("here");
    let place = Place::new();
    let mut node = serving(&place, &backend);
    let before = node.resident_mib();
    let chunked = "POST /r HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (name, begin, piece, statuses) in [
        (
            "a long path",
            "GET /".to_owned(),
            "a".repeat(8000),
            &[414][..],
        ),
        (
            "a long value",
            "GET /r HTTP/1.1\r\nHost: test\r\nX: ".to_owned(),
            "a".repeat(8000),
            &[400, 431],
        ),
        (
            "a long name",
            "GET /r HTTP/1.1\r\nHost: test\r\n".to_owned(),
            "a".repeat(8000),
            &[400, 431],
        ),
        (
            "many headers",
            "GET /r HTTP/1.1\r\nHost: test\r\n".to_owned(),
            "A: b\r\n".repeat(1000),
            &[400, 431],
        ),
        (
            "a long method",
            String::new(),
            "A".repeat(8000),
            &[400, 414],
        ),
        (
            "a long extension of a chunk",
            format!("{chunked}1;"),
            "a".repeat(8000),
            &[400, 413],
        ),
        (
            "a long chunk size",
            format!("{chunked}0"),
            "0".repeat(8000),
            &[400, 413],
        ),
        (
            "many trailers",
            format!("{chunked}0\r\n"),
            "A: b\r\n".repeat(1000),
            &[400, 431],
        ),
    ] {
        for _ in 0..5 {
            let mut client = node.client();
            let mut went = client.try_send(&begin);
            let mut pieces = 0;
            while went.is_ok() && pieces < 2000 {
                went = client.try_send(&piece);
                pieces += 1;
            }
            assert!(pieces < 2000, "{name}: the node takes all");
            let said = String::from_utf8_lossy(&client.read_to_end()).into_owned();
            let status = said
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse().ok());
            // The reset of a connection that goes on sending may overtake the answer.
            assert!(
                status.is_none_or(|status: u16| statuses.contains(&status)),
                "{name}: {said}"
            );
        }
        node.assert_serves("/r");
    }
    let grown = node.resident_mib().saturating_sub(before);
    assert!(grown < 30, "{grown} MiB more");
    let posts = backend
        .received()
        .iter()
        .filter(|request| request.line().starts_with("POST"))
        .count();
    assert_eq!(posts, 0);
}

#[test]
fn empty_lines_without_end_do_not_hold_a_worker() {
    let backend = Backend::saying("here");
    let place = strict_place();
    let mut node = serving(&place, &backend);
    let flood = "\r\n".repeat(4000);
    let mut client = node.client();
    let mut pieces = 0;
    while pieces < 5000 && client.try_send(&flood).is_ok() {
        pieces += 1;
    }
    node.assert_serves("/r");
    assert!(pieces < 5000 || client.is_closed());
}

#[test]
fn a_pipeline_is_answered_in_order_whatever_its_length() {
    const REQUESTS: usize = 3000;
    let backend = Backend::http(|request| Then::ok(request.header("x-number").unwrap_or("none")));
    let place = Place::new();
    let mut node = serving(&place, &backend);
    let before = node.resident_mib();
    let mut client = node.client();
    let socket = client.socket().try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut socket = &socket;
            for number in 0..REQUESTS {
                write!(
                    socket,
                    "GET /r HTTP/1.1\r\nHost: test\r\nX-Number: {number}\r\n\r\n"
                )
                .unwrap();
            }
        });
        for number in 0..REQUESTS {
            assert_eq!(client.receive().text(), number.to_string());
        }
    });
    let grown = node.resident_mib().saturating_sub(before);
    assert!(grown < 20, "{grown} MiB more");
    node.assert_serves("/r");
}

#[test]
fn a_client_that_sends_ahead_and_leaves_harms_nobody() {
    let backend = Backend::saying("here");
    let place = Place::new();
    let mut node = serving(&place, &backend);
    for count in [1, 2, 10, 500] {
        for _ in 0..20 {
            let mut client = node.client();
            client.send("GET /r HTTP/1.1\r\nHost: test\r\n\r\n".repeat(count));
            client.finish_sending();
            let said = String::from_utf8_lossy(&client.read_to_end()).into_owned();
            let answers = said.matches("HTTP/1.1 200 OK").count();
            assert!(answers <= count);
            assert_eq!(said.matches("HTTP/1.1 ").count(), answers, "{said}");
        }
        node.assert_serves("/r");
    }
}

#[test]
fn garbage_on_any_port_is_refused() {
    let backend = Backend::saying("here");
    let [h2c] = free_ports();
    let place = strict_place();
    place.set(
        "PROXY_LISTEN",
        format!(
            "127.0.0.1:{}, 127.0.0.1:{} ssl http2, 127.0.0.1:{h2c} http2",
            place.proxy, place.proxy_tls
        ),
    );
    let mut node = serving(&place, &backend);
    let mut random = SeededRandom::new(7);
    for port in [place.proxy, place.proxy_tls, h2c, place.admin, place.status] {
        for round in 0..60 {
            let length = usize::try_from(random.below(3000)).unwrap();
            let mut bytes: Vec<u8> = (0..length)
                .map(|_| random.next_u64().to_le_bytes()[0])
                .collect();
            // Some begin as what the port expects.
            let begin: &[u8] = match round % 4 {
                0 => b"GET / HTTP/1.1\r\n",
                1 => b"\x16\x03\x01",
                2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                _ => b"",
            };
            bytes.splice(0..0, begin.iter().copied());
            let mut client = Client::connect(port);
            // It may be refused before all is sent.
            let _ = client.try_send(&bytes);
            if client.socket().shutdown(std::net::Shutdown::Write).is_ok() {
                client.read_to_end();
            }
        }
    }
    node.assert_serves("/r");
    assert_eq!(Client::connect(place.admin).get("/services").status, 200);
    let mut secure = Client::connect_tls(place.proxy_tls, "localhost", &[]).unwrap();
    assert_eq!(secure.get("/r").status, 200);
}

#[test]
fn plain_http_on_the_tls_port_is_told_so() {
    let backend = Backend::saying("here");
    let place = Place::new();
    let mut node = serving(&place, &backend);
    for _ in 0..3 {
        let mut client = Client::connect(place.proxy_tls);
        client.send("GET /r HTTP/1.1\r\nHost: test\r\n\r\n");
        let said = String::from_utf8_lossy(&client.read_to_end()).into_owned();
        println!("plain HTTP to the TLS port: {said:?}");
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 400") || !said.starts_with("HTTP"),
            "{said}"
        );
    }
    node.assert_serves("/r");
}

#[test]
fn a_listener_for_the_proxy_protocol_takes_nothing_else() {
    let backend = Backend::saying("here");
    let [proxied] = free_ports();
    let place = strict_place();
    place.set(
        "PROXY_LISTEN",
        format!(
            "127.0.0.1:{}, 127.0.0.1:{proxied} proxy_protocol",
            place.proxy
        ),
    );
    place.set("TRUSTED_IPS", "127.0.0.1");
    place.set("REAL_IP_HEADER", "proxy_protocol");
    let mut node = serving(&place, &backend);
    let request = b"GET /r HTTP/1.1\r\nHost: test\r\n\r\n";
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let v2 = |rest: &[u8]| [&signature[..], rest].concat();
    for bad in [
        Vec::new(),
        b"PROXY".to_vec(),
        b"PROXY TCP4 1.2.3.4\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 80\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 80\n".to_vec(),
        [b"PROXY TCP4 ".to_vec(), b"1".repeat(200)].concat(),
        b"PROXY TCP9 1.2.3.4 5.6.7.8 1 80\r\n".to_vec(),
        v2(b"\x11\x11\x00\x0c"),
        v2(b"\x21\x11\xff\xff"),
        v2(b"\x21\x11\x00\x01\x00"),
        v2(b"\x31\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x50"),
    ] {
        let mut client = Client::connect(proxied);
        let _ = client.try_send([&bad[..], request].concat());
        client.finish_sending();
        let said = String::from_utf8_lossy(&client.read_to_end()).into_owned();
        assert!(!said.contains(" 200 "), "{bad:?}: {said}");
    }
    assert_eq!(backend.received().len(), 0);
    let good_v2 = v2(b"\x21\x11\x00\x0c\x09\x08\x07\x06\x05\x06\x07\x08\x00\x01\x00\x50");
    for (good, client_ip) in [
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 80\r\n".to_vec(), "1.2.3.4"),
        (good_v2, "9.8.7.6"),
    ] {
        let mut client = Client::connect(proxied);
        assert_eq!(client.exchange([&good[..], request].concat()).status, 200);
        let received = backend.received();
        let seen = received.last().unwrap().header("x-real-ip");
        assert_eq!(seen, Some(client_ip));
    }
    node.assert_serves("/r");
}

#[test]
fn a_body_over_the_limit_is_refused_and_never_reaches_the_upstream() {
    let backend = Backend::saying("here");
    let place = Place::new().with("NGINX_HTTP_CLIENT_MAX_BODY_SIZE", "1k");
    let mut node = serving(&place, &backend);
    let mut client = node.client();
    let answer = client.exchange("POST /r HTTP/1.1\r\nHost: test\r\nContent-Length: 1025\r\n\r\n");
    assert_eq!(answer.status, 413);
    let mut client = node.client();
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    client.send("POST /r HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(&chunk);
    client.send("1\r\nx\r\n0\r\n\r\n");
    assert_eq!(client.receive().status, 413);
    assert_eq!(backend.received().len(), 0);
    let mut client = node.client();
    let fits = format!(
        "POST /r HTTP/1.1\r\nHost: test\r\nContent-Length: 1024\r\n\r\n{}",
        "x".repeat(1024)
    );
    assert_eq!(client.exchange(fits).status, 200);
    node.assert_serves("/r");
}

#[test]
fn uploads_that_break_off_leave_nothing_behind() {
    let backend = Backend::saying("here");
    let place = Place::new();
    let mut node = serving(&place, &backend);
    node.assert_serves("/r");
    let (memory, files) = (node.resident_mib(), node.open_files());
    for round in 0..60 {
        let mut client = node.client();
        client.send("POST /r HTTP/1.1\r\nHost: test\r\nContent-Length: 100000000\r\n\r\n");
        client.send(vec![b'x'; 1 << 20]);
        if round % 2 == 0 {
            client.finish_sending();
            client.read_to_end();
        }
    }
    eventually("descriptors are closed", || node.open_files() < files + 10);
    let grown = node.resident_mib().saturating_sub(memory);
    assert!(grown < 40, "{grown} MiB more");
    let posts = backend
        .received()
        .iter()
        .filter(|request| request.line().starts_with("POST"))
        .count();
    assert_eq!(posts, 0);
    node.assert_serves("/r");
}

#[test]
fn the_admin_api_bears_clients_that_say_nothing() {
    const CLIENTS: usize = 1500;
    let backend = Backend::saying("here");
    let place = Place::new();
    let mut node = serving(&place, &backend);
    let before = node.resident_mib();
    let clients: Vec<Client> = (0..CLIENTS)
        .map(|number| {
            let mut client = node.client_of_admin();
            match number % 3 {
                0 => {}
                1 => client.send("GET /services HTTP/1.1\r\nHo"),
                _ => client
                    .send("POST /services HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n{"),
            }
            client
        })
        .collect();
    node.add_route("/meanwhile", &backend.url(), &Value::Null);
    node.assert_serves("/meanwhile");
    let grown = node.resident_mib().saturating_sub(before);
    assert!(grown < 60, "{grown} MiB more");
    drop(clients);
    node.assert_serves("/r");
}

#[test]
fn handshakes_that_never_end_keep_nobody_out() {
    const CLIENTS: usize = 500;
    let backend = Backend::saying("here");
    let place = Place::new();
    let mut node = serving(&place, &backend);
    let silent: Vec<Client> = (0..CLIENTS)
        .map(|number| {
            let mut client = Client::connect(place.proxy_tls);
            if number % 2 == 0 {
                // The begin of a record that announces more.
                client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
            }
            client
        })
        .collect();
    for _ in 0..20 {
        let mut secure = Client::connect_tls(place.proxy_tls, "localhost", &["http/1.1"]).unwrap();
        assert_eq!(secure.get("/r").status, 200);
    }
    drop(silent);
    node.assert_serves("/r");
}

#[test]
fn plain_http_to_an_admin_port_for_tls_gets_a_page_that_says_so() {
    let place = Place::new();
    place.set("ADMIN_LISTEN", format!("127.0.0.1:{} ssl", place.admin));
    let node = place.start();
    let answer = node.client_of_admin().get("/services");
    assert_eq!(answer.status, 400);
    let page = answer.text();
    assert!(
        page.contains("The plain HTTP request was sent to HTTPS port"),
        "{page}"
    );
    let mut silent = node.client_of_admin();
    silent.send("SSH-2.0-OpenSSH_9.6\r\n\r\n");
    assert_eq!(silent.receive().status, 400);
    assert!(silent.is_closed());
}
