use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use net::dns::DnsSettings;
use stdx::SystemClock;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn connections() -> Connections {
    let runtime = Handle::current();
    let resolver = Resolver::new(
        DnsSettings::default(),
        runtime.clone(),
        Arc::new(SystemClock),
    );
    Connections::on(runtime, resolver.expect("a resolver"), None)
}

/// A server that answers `answers` requests on each connection and then closes it.
fn server(answers: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    let count = Arc::new(AtomicUsize::new(0));
    let connections = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            connections.fetch_add(1, Ordering::SeqCst);
            for _ in 0..answers {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                    head.push(byte[0]);
                }
                let mut body = [0; 5];
                if head.is_empty() || stream.read_exact(&mut body).is_err() {
                    break;
                }
                let answer = b"HTTP/1.1 201 Created\r\nX-A: b\r\nContent-Length: 4\r\n\r\ndone";
                let _ = stream.write_all(answer);
            }
        }
    });
    (address, count)
}

fn request(address: SocketAddr) -> HttpRequest {
    HttpRequest {
        method: "POST".to_owned(),
        url: format!("http://{address}/a?b"),
        headers: Vec::new(),
        body: Bytes::from_static(b"hello"),
        timeout: PATIENCE,
        keep_alive: PATIENCE,
        tls: TlsOptions::default(),
        max_response: 1 << 20,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn requests_share_a_connection_while_it_is_kept() {
    let (address, opened) = server(usize::MAX);
    let network = connections();
    for _ in 0..3 {
        let answer = network.http(request(address)).await.expect("an answer");
        assert_eq!((answer.status, &answer.body[..]), (201, &b"done"[..]));
        assert!(answer.headers.contains(&("x-a".to_owned(), b"b".to_vec())));
    }
    assert_eq!(opened.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_kept_connection_that_was_closed_is_replaced() {
    let (address, opened) = server(1);
    let network = connections();
    for expected in 1..=3 {
        let answer = network.http(request(address)).await.expect("an answer");
        assert_eq!(answer.status, 201);
        assert_eq!(opened.load(Ordering::SeqCst), expected);
        while network.0.pool.has_open() {
            tokio::task::yield_now().await;
        }
    }
    let mut kept_none = request(address);
    kept_none.keep_alive = Duration::ZERO;
    assert_eq!(
        network.http(kept_none).await.expect("an answer").status,
        201
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_cannot_be_reached_or_is_too_long_is_an_error() {
    let network = connections();
    let closed = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = closed.local_addr().expect("an address");
    drop(closed);
    assert!(matches!(
        network.http(request(address)).await,
        Err(NetworkError::Failed(_))
    ));
    let (address, _) = server(usize::MAX);
    let mut short = request(address);
    short.max_response = 3;
    assert!(network.http(short).await.is_err());
    let mut odd = request(address);
    odd.url = "ftp://x/".to_owned();
    assert!(network.http(odd).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let mut slow = request(silent.local_addr().expect("an address"));
    slow.timeout = Duration::from_millis(50);
    let answer = connections().http(slow).await;
    assert!(matches!(answer, Err(NetworkError::Timeout)), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn datagrams_and_connections_carry_bytes() {
    let network = connections();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let to = |address: SocketAddr| Destination {
        host: address.ip().to_string(),
        port: address.port(),
    };
    let address = socket.local_addr().expect("an address");
    let mut buffer = [0; 16];
    let mut senders = Vec::new();
    for text in ["ping", "pong"] {
        let sent = network.datagram(to(address), Bytes::from_static(text.as_bytes()));
        sent.await.expect("a datagram");
        let (read, sender) = socket.recv_from(&mut buffer).expect("a datagram");
        assert_eq!(&buffer[..read], text.as_bytes());
        senders.push(sender);
    }
    assert_eq!(senders[0], senders[1], "one socket for all of them");

    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut word = [0; 4];
        stream.read_exact(&mut word).expect("a word");
        stream
            .write_all(&word.map(|byte| byte.to_ascii_uppercase()))
            .expect("an answer");
    });
    let mut open = network
        .connect(to(address), None, PATIENCE)
        .await
        .expect("a connection");
    open.write(b"ping").await.expect("a write");
    assert_eq!(&open.read(16).await.expect("a read")[..], b"PING");
    assert!(open.read(16).await.expect("the end").is_empty());
}

/// A proxy that answers every request with these bytes, and what it was asked.
fn proxy(answer: &'static [u8]) -> (HttpProxy, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    let (told, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let _ = told.send(String::from_utf8_lossy(&head).into_owned());
            let _ = stream.write_all(answer);
        }
    });
    let proxy = HttpProxy {
        at: Destination {
            host: address.ip().to_string(),
            port: address.port(),
        },
        authorization: Some("Basic dTpw".to_owned()),
    };
    (proxy, asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_proxy_is_told_where_a_plain_request_goes() {
    let (proxy, asked) = proxy(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let mut request = request(([192, 0, 2, 1], 81).into());
    request.body = Bytes::new();
    let answer = connections().http_through(proxy, request).await;
    assert_eq!(&answer.expect("an answer").body[..], b"hi");
    let asked = asked.recv().expect("a request").to_lowercase();
    assert!(asked.starts_with("post http://192.0.2.1:81/a?b http/1.1\r\n"));
    assert!(asked.contains("\r\nhost: 192.0.2.1:81\r\n"), "{asked}");
    assert!(asked.contains("\r\nproxy-authorization: basic dtpw\r\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_proxy_that_opens_no_connection_is_an_error_that_says_so() {
    let endless: &'static [u8] = Box::leak(vec![b'x'; MOST_BYTES].into_boxed_slice());
    for (answer, words) in [
        (&b"HTTP/1.1 407 No\r\n\r\n"[..], "407 No"),
        (b"SSH-2.0\r\n\r\n", "SSH-2.0"),
        (endless, "too long"),
        (b"HTTP/1.1 200 OK\r\n", ""),
        (b"HTTP/1.1 200 OK\r\n\r\nno TLS", ""),
    ] {
        let (proxy, asked) = proxy(answer);
        let mut request = request(([192, 0, 2, 1], 444).into());
        request.url = "https://functions.test:444/".to_owned();
        let failed = connections().http_through(proxy, request).await;
        let text = failed.expect_err("an error").to_string();
        assert!(text.contains(words), "{text}");
        let asked = asked.recv().expect("a request");
        assert!(asked.starts_with("CONNECT functions.test:444 HTTP/1.1\r\n"));
        assert!(asked.contains("\r\nProxy-Authorization: Basic dTpw\r\n"));
    }
}

/// More than a proxy may say.
const MOST_BYTES: usize = 64 << 10;
