//! Log entries on their way to real collectors: each gets every request, once, whatever the request says.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::sync::{Arc, Mutex};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use testing::{Backend, Node, PATIENCE, Place, Signal, Then, eventually, self_signed};

/// Bytes that end lines, strings or escapes where they are not escaped, in a header that a client may send.
const HOSTILE: &[u8] = b"\"}\t\\\" \\n \\u000a {\"status\":200} \xe2\x80\xa8 \xc3\xa9";

/// A collector of lines over TCP, perhaps inside TLS.
struct Lines {
    port: u16,
    lines: Receiver<String>,
}

impl Lines {
    fn plain() -> Self {
        Self::on(listener(0), None)
    }

    /// With a certificate that nobody signed.
    fn in_tls() -> Self {
        let pair = self_signed(&["collector.test"]);
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(pair.der)], key)
            .unwrap();
        Self::on(listener(0), Some(Arc::new(config)))
    }

    fn on(listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> Self {
        let port = listener.local_addr().unwrap().port();
        let (found, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (found, tls) = (found.clone(), tls.clone());
                let socket = socket.unwrap();
                std::thread::spawn(move || {
                    let from: Box<dyn Read> = match tls {
                        Some(config) => {
                            let connection = ServerConnection::new(config).unwrap();
                            Box::new(StreamOwned::new(connection, socket))
                        }
                        None => Box::new(socket),
                    };
                    // A connection ends as the node likes, and a test before its collector.
                    for line in BufReader::new(from).lines().map_while(Result::ok) {
                        if found.send(line).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, lines }
    }

    fn next(&self) -> Value {
        entry(&self.lines.recv_timeout(PATIENCE).unwrap())
    }

    fn assert_no_more(&self) {
        let none = self.lines.try_recv();
        assert_eq!(none, Err(TryRecvError::Empty));
    }
}

fn listener(port: u16) -> TcpListener {
    TcpListener::bind(("127.0.0.1", port)).unwrap()
}

/// A port at which nobody listens for now.
fn refusing_port() -> u16 {
    listener(0).local_addr().unwrap().port()
}

/// A collector of bodies over HTTP.
fn receiver() -> (Backend, Receiver<Value>) {
    let (found, bodies) = mpsc::channel();
    let found = Mutex::new(found);
    let backend = Backend::http(move |received| {
        let body = serde_json::from_slice(&received.body).unwrap();
        // The test ended if nobody is there to look.
        let _ = found.lock().unwrap().send(body);
        Then::ok("")
    });
    (backend, bodies)
}

/// What a line says; a line that a request broke says nothing.
fn entry(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn add_plugin(node: &Node, name: &str, config: &Value) {
    let plugin = json!({ "name": name, "config": config });
    node.configure("POST", "/services/r/plugins", &plugin);
}

fn start<'a>(place: &'a Place, backend: &Backend) -> Node<'a> {
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    node
}

/// The lines of a file; one that is still being written is none yet.
fn file_lines(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
    whole.lines().map(str::to_owned).collect()
}

/// The fields of Kong's entry that collectors read.
fn assert_is_entry(entry: &Value, uri: &str) {
    assert_eq!(entry["request"]["method"], "GET", "{entry}");
    assert_eq!(entry["request"]["uri"], uri, "{entry}");
    assert_eq!(entry["request"]["headers"]["x-said"], "said", "{entry}");
    assert_eq!(entry["response"]["status"], 200, "{entry}");
    assert_eq!(entry["client_ip"], "127.0.0.1", "{entry}");
    assert_eq!(entry["service"]["name"], "r", "{entry}");
    assert_eq!(entry["route"]["name"], "r", "{entry}");
    assert_eq!(entry["tries"][0]["ip"], "127.0.0.1", "{entry}");
    assert!(entry["started_at"].is_u64(), "{entry}");
    for latency in ["request", "kong", "proxy"] {
        assert!(entry["latencies"][latency].is_i64(), "{latency}: {entry}");
    }
}

#[test]
fn every_collector_gets_the_entry_of_every_request() {
    const REQUESTS: usize = 20;
    let backend = Backend::saying("here");
    let (http, bodies) = receiver();
    let (tcp, tls) = (Lines::plain(), Lines::in_tls());
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    let udp_port = udp.local_addr().unwrap().port();
    let place = Place::new();
    let file = place.folder().join("entries.log").display().to_string();
    let node = start(&place, &backend);
    add_plugin(&node, "http-log", &json!({ "http_endpoint": http.url() }));
    add_plugin(
        &node,
        "tcp-log",
        &json!({ "host": "127.0.0.1", "port": tcp.port }),
    );
    let secured = json!({ "name": "tcp-log", "config": {
        "host": "127.0.0.1", "port": tls.port, "tls": true, "tls_sni": "collector.test",
    } });
    add_plugin(
        &node,
        "udp-log",
        &json!({ "host": "127.0.0.1", "port": udp_port }),
    );
    add_plugin(&node, "file-log", &json!({ "path": file }));
    let get = |number: usize| {
        let answer = node.client().exchange(format!(
            "GET /r?n={number} HTTP/1.1\r\nHost: test\r\nX-Said: said\r\n\r\n"
        ));
        assert_eq!(answer.status, 200);
    };
    for number in 0..REQUESTS {
        get(number);
        let uri = format!("/r?n={number}");
        assert_is_entry(&bodies.recv_timeout(PATIENCE).unwrap(), &uri);
        assert_is_entry(&tcp.next(), &uri);
        let mut datagram = vec![0; 65536];
        let length = udp.recv(&mut datagram).unwrap();
        assert_is_entry(&serde_json::from_slice(&datagram[..length]).unwrap(), &uri);
        eventually("the entry is in the file", || {
            file_lines(&file).len() == number + 1
        });
        assert_is_entry(&entry(&file_lines(&file)[number]), &uri);
    }
    // A plugin of the route stands in for that of the service.
    node.configure("POST", "/routes/r/plugins", &secured);
    for number in 0..REQUESTS {
        get(number);
        assert_is_entry(&tls.next(), &format!("/r?n={number}"));
    }
    tcp.assert_no_more();
    tls.assert_no_more();
}

#[test]
fn a_collector_that_comes_back_gets_what_it_missed() {
    const REQUESTS: usize = 10;
    let backend = Backend::saying("here");
    let (found, bodies) = mpsc::channel();
    let found = Mutex::new(found);
    let is_back = Arc::new(AtomicBool::new(false));
    let takes = is_back.clone();
    let http = Backend::http(move |received| {
        if !takes.load(Ordering::SeqCst) {
            return Then::AnswerAndReset(Vec::new());
        }
        let body: Value = serde_json::from_slice(&received.body).unwrap();
        let _ = found.lock().unwrap().send(body);
        Then::ok("")
    });
    let port = refusing_port();
    let place = Place::new();
    let node = start(&place, &backend);
    let queue = json!({ "initial_retry_delay": 0.01, "max_retry_delay": 0.1 });
    let to_http = json!({ "http_endpoint": http.url(), "queue": queue });
    add_plugin(&node, "http-log", &to_http);
    let to_tcp = json!({ "host": "127.0.0.1", "port": port });
    add_plugin(&node, "tcp-log", &to_tcp);
    for number in 0..REQUESTS {
        assert_eq!(node.get(&format!("/r?n={number}")).status, 200);
    }
    let error_log = place.prefix().join("logs/error.log");
    eventually("both were refused", || {
        let text = std::fs::read_to_string(&error_log).unwrap_or_default() + &node.log();
        let refused = |plugin| {
            let mut lines = text.lines();
            lines.any(|line| line.contains("sent again later") && line.contains(plugin))
        };
        refused("http-log") && refused("tcp-log")
    });
    is_back.store(true, Ordering::SeqCst);
    let tcp = Lines::on(listener(port), None);
    let expected: BTreeSet<_> = (0..REQUESTS)
        .map(|number| format!("/r?n={number}"))
        .collect();
    // An entry whose route is looked up first is overtaken by others.
    let uri = |entry: Value| entry["request"]["uri"].as_str().unwrap().to_owned();
    let by_tcp: BTreeSet<_> = (0..REQUESTS).map(|_| uri(tcp.next())).collect();
    assert_eq!(by_tcp, expected);
    let body = || bodies.recv_timeout(PATIENCE).unwrap();
    let by_http: BTreeSet<_> = (0..REQUESTS).map(|_| uri(body())).collect();
    assert_eq!(by_http, expected);
    tcp.assert_no_more();
    assert_eq!(bodies.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn a_graceful_stop_delivers_what_waits() {
    const REQUESTS: usize = 5;
    let backend = Backend::saying("here");
    let (http, bodies) = receiver();
    let place = Place::new();
    let node = start(&place, &backend);
    let queue = json!({ "max_batch_size": 100, "max_coalescing_delay": 3600 });
    add_plugin(
        &node,
        "http-log",
        &json!({ "http_endpoint": http.url(), "queue": queue }),
    );
    for number in 0..REQUESTS {
        assert_eq!(node.get(&format!("/r?n={number}")).status, 200);
    }
    assert_eq!(bodies.try_recv(), Err(TryRecvError::Empty));
    node.signal(Signal::SIGQUIT);
    assert!(node.wait().success());
    // An entry whose route was still looked up comes behind the others.
    let batches: Vec<Value> = bodies.try_iter().collect();
    let entries = batches.iter().filter_map(Value::as_array).flatten();
    assert_eq!(entries.count(), REQUESTS, "{batches:?}");
}

#[test]
fn a_file_that_was_moved_away_is_made_anew() {
    let backend = Backend::saying("here");
    let place = Place::new();
    let node = start(&place, &backend);
    let file = place.folder().join("entries.log").display().to_string();
    let old = format!("{file}.1");
    add_plugin(&node, "file-log", &json!({ "path": file, "reopen": true }));
    assert_eq!(node.get("/r?n=old").status, 200);
    eventually("the entry is in the file", || file_lines(&file).len() == 1);
    std::fs::rename(&file, &old).unwrap();
    assert_eq!(node.get("/r?n=new").status, 200);
    eventually("the entry is in a new file", || {
        file_lines(&file).len() == 1
    });
    for (path, uri) in [(&old, "/r?n=old"), (&file, "/r?n=new")] {
        let lines = file_lines(path);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(entry(&lines[0])["request"]["uri"], uri);
    }
}

#[test]
fn neither_clients_nor_upstreams_can_break_a_line() {
    let backend = Backend::http(|_| {
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Hostile: ".to_vec();
        answer.extend_from_slice(HOSTILE);
        answer.extend_from_slice(b"\r\n\r\n");
        Then::Answer(answer)
    });
    let tcp = Lines::plain();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    let udp_port = udp.local_addr().unwrap().port();
    let place = Place::new();
    let file = place.folder().join("entries.log").display().to_string();
    let node = start(&place, &backend);
    add_plugin(&node, "file-log", &json!({ "path": file }));
    add_plugin(
        &node,
        "tcp-log",
        &json!({ "host": "127.0.0.1", "port": tcp.port }),
    );
    add_plugin(
        &node,
        "udp-log",
        &json!({ "host": "127.0.0.1", "port": udp_port }),
    );
    let mut request =
        b"GET /r?a=%0A%0D%22{\"status\":1} HTTP/1.1\r\nHost: test\r\nX-Hostile: ".to_vec();
    request.extend_from_slice(HOSTILE);
    request.extend_from_slice(b"\r\n\r\n");
    // What no header may contain gets no further, and makes no entry.
    for control in ["\x1b[31m", "\x7f", "a\rb", "\0"] {
        let refused = format!("GET /r HTTP/1.1\r\nHost: test\r\nX-Hostile: {control}\r\n\r\n");
        assert_eq!(node.client().exchange(refused).status, 400, "{control:?}");
    }
    assert_eq!(node.client().exchange(request).status, 200);
    assert_eq!(node.get("/r?n=other").status, 200);
    eventually("the entries are in the file", || {
        file_lines(&file).len() >= 2
    });
    let lines = file_lines(&file);
    assert_eq!(lines.len(), 2, "{lines:?}");
    let by_file: Vec<_> = lines.iter().map(|line| entry(line)).collect();
    let by_tcp = vec![tcp.next(), tcp.next()];
    let mut datagram = vec![0; 65536];
    let by_udp = std::iter::repeat_with(|| {
        let length = udp.recv(&mut datagram).unwrap();
        serde_json::from_slice(&datagram[..length]).unwrap()
    });
    let by_udp: Vec<Value> = by_udp.take(2).collect();
    let said = std::str::from_utf8(HOSTILE).unwrap();
    for entries in [by_file, by_tcp, by_udp] {
        let is_other = |entry: &&Value| entry["request"]["uri"] == "/r?n=other";
        assert_eq!(entries.iter().filter(is_other).count(), 1, "{entries:?}");
        let hostile = entries.iter().find(|entry| !is_other(entry)).unwrap();
        assert_eq!(hostile["request"]["headers"]["x-hostile"], said);
        assert_eq!(hostile["response"]["headers"]["x-hostile"], said);
    }
    tcp.assert_no_more();
    for line in &lines {
        assert!(line.bytes().all(|byte| byte >= b' '), "{line}");
    }
}
