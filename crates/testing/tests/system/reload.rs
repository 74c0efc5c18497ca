//! Reloading: new settings, and nobody notices who should not.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use serde_json::Value;
use testing::{Backend, Client, Node, Place, Signal, Then, eventually, free_ports, self_signed};

#[test]
fn reloads_under_load_drop_no_connection_and_fail_no_request() {
    const RELOADS: usize = 12;
    let backend = Backend::saying("here");
    let place = Place::new().with("LOG_LEVEL", "info");
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    let over = AtomicBool::new(false);
    let answers = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        // Clients that keep one connection all the while.
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = node.client();
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(client.get("/r").text(), "here");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // And such that come anew each time.
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(node.get("/r").text(), "here");
                }
            });
        }
        for number in 0..RELOADS {
            let before = answers.load(Ordering::Relaxed);
            if number % 2 == 0 {
                reload_by_signal(&node);
            } else {
                place.succeed(&["reload"]);
            }
            eventually("requests go on", || {
                answers.load(Ordering::Relaxed) > before + 50
            });
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn everything_can_change_while_requests_and_tunnels_are_open() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let backend = Backend::raw(move |mut socket, _| {
        let mut reader = BufReader::new(socket.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        if head.contains("Upgrade: websocket") {
            let answer =
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
            socket.write_all(answer).unwrap();
            let mut byte = [0];
            while reader.read_exact(&mut byte).is_ok() {
                socket.write_all(&byte).unwrap();
            }
            return;
        }
        let half = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        socket.write_all(half).unwrap();
        released.lock().unwrap().recv().unwrap();
        socket.write_all(b"6\r\nsecond\r\n0\r\n\r\n").unwrap();
    });
    let place = Place::new().with("LOG_LEVEL", "info");
    let before = self_signed(&["before.test"]);
    give_certificate(&place, "before", &before);
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);

    let mut download = node.client();
    download.send("GET /r HTTP/1.1\r\nHost: test\r\n\r\n");
    read_until(&mut download, b"first\r\n");
    let mut tunnel = open_tunnel(node.client());
    let mut secure_tunnel =
        open_tunnel(Client::connect_tls(place.proxy_tls, "localhost", &["http/1.1"]).unwrap());
    let mut idle = node.client();
    assert_eq!(idle.get("/none").status, 404);
    let mut half_sent = node.client();
    half_sent.send("GET /none HTTP/1.1\r\nHos");
    let mut admin = Client::connect(place.admin);
    assert_eq!(admin.get("/services").status, 200);

    // The plain port stays, the TLS port goes, and two come.
    let [plain, secure] = free_ports();
    place.set(
        "PROXY_LISTEN",
        format!(
            "127.0.0.1:{}, 127.0.0.1:{plain}, 127.0.0.1:{secure} ssl",
            place.proxy
        ),
    );
    let after = self_signed(&["after.test"]);
    give_certificate(&place, "after", &after);
    place.set("HEADERS", "off");
    place.set("NGINX_WORKER_PROCESSES", "3");
    place.succeed(&["reload"]);

    for port in [place.proxy, plain] {
        let answer = Client::connect(port).get("/none");
        assert_eq!((answer.status, answer.header("server")), (404, None));
    }
    let secure = Client::connect_tls(secure, "localhost", &[]).unwrap();
    assert_eq!(secure.server_certificate(), Some(after.der));
    eventually("the old port is closed", || {
        Client::try_connect(place.proxy_tls).is_err()
    });
    for client in [&mut tunnel, &mut secure_tunnel] {
        client.send("still there");
        assert_eq!(client.read_exactly(11), b"still there");
    }
    half_sent.send("t: test\r\n\r\n");
    assert_eq!(half_sent.receive().status, 404);
    assert_eq!(idle.get("/none").status, 404);
    release.send(()).unwrap();
    read_until(&mut download, b"second\r\n0\r\n\r\n");
}

#[test]
fn workers_that_a_reload_takes_away_finish_what_they_have() {
    const CLIENTS: usize = 40;
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let backend = Backend::http(move |_| {
        // The test ended if nobody is there to say so.
        let _ = released.lock().unwrap().recv();
        Then::ok("late")
    });
    let place = Place::new().with("NGINX_WORKER_PROCESSES", "4");
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    let mut idle: Vec<Client> = (0..CLIENTS)
        .map(|number| {
            let mut client = node.client();
            if number % 2 == 0 {
                assert_eq!(client.get("/none").status, 404);
            }
            client
        })
        .collect();
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|_| {
            let mut client = node.client();
            client.send("GET /r HTTP/1.1\r\nHost: test\r\n\r\n");
            client
        })
        .collect();
    eventually("all requests are in flight", || {
        backend.received().len() == CLIENTS
    });
    place.set("NGINX_WORKER_PROCESSES", "1");
    place.succeed(&["reload"]);
    for _ in 0..CLIENTS {
        release.send(()).unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.receive().text(), "late");
    }
    for client in &mut idle {
        assert_eq!(client.get("/none").status, 404);
    }
    assert_eq!(node.get("/none").status, 404);
    node.signal(Signal::SIGQUIT);
    assert!(node.wait().success());
}

#[test]
fn a_reload_with_a_mistake_changes_nothing() {
    let backend = Backend::saying("here");
    let place = Place::new().with("LOG_LEVEL", "info");
    let mut node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    let mut client = node.client();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let good = format!("127.0.0.1:{}", place.proxy);
    for (name, value, restored) in [
        ("LOG_LEVEL", "shouting".to_owned(), "info"),
        ("PROXY_LISTEN", format!("{good}, {taken}"), &*good),
        ("PROXY_LISTEN", "nowhere".to_owned(), &*good),
        ("DATABASE", "off".to_owned(), "sqlite"),
    ] {
        place.set(name, value);
        let (status, words) = place.fail(&["reload"]);
        assert_eq!(status, 1);
        assert!(!words.is_empty());
        place.set(name, restored);
        assert_eq!(client.get("/r").status, 200, "{name}");
        node.assert_serves("/r");
    }
    place.succeed(&["reload"]);
    assert_eq!(client.get("/r").status, 200);
}

#[test]
fn reloads_leave_no_files_and_no_threads_behind() {
    let backend = Backend::http(|_| Then::ok("here"));
    let place = Place::new().with("LOG_LEVEL", "info");
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    let threads = || {
        let path = format!("/proc/{}/task", node.pid());
        std::fs::read_dir(path).unwrap().count()
    };
    for _ in 0..3 {
        place.succeed(&["reload"]);
    }
    let (files, tasks) = (node.open_files(), threads());
    for _ in 0..10 {
        place.succeed(&["reload"]);
    }
    eventually("old listeners are closed", || {
        node.open_files() <= files + 2 && threads() <= tasks + 2
    });
}

fn reload_by_signal(node: &Node<'_>) {
    let reloads = || node.log().matches("reloaded").count();
    let before = reloads();
    node.signal(Signal::SIGHUP);
    eventually("the node has reloaded", || reloads() > before);
}

fn give_certificate(place: &Place, name: &str, pair: &testing::CertifiedKey) {
    let certificate = place.write(&format!("{name}.crt"), &pair.certificate);
    let key = place.write(&format!("{name}.key"), &pair.key);
    place.set("SSL_CERT", certificate);
    place.set("SSL_CERT_KEY", key);
}

fn open_tunnel(mut client: Client) -> Client {
    client
        .send("GET /r HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.receive().status, 101);
    client.send("ping");
    assert_eq!(client.read_exactly(4), b"ping");
    client
}

fn read_until(client: &mut Client, end: &[u8]) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        bytes.extend(client.read_exactly(1));
    }
}
