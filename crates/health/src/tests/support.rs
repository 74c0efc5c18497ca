//! Servers for probes: plain and TLS, HTTP/1, gRPC, and one for names.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use net::h2::{Exchange, ServerConnection, Settings};
use net::tls::{
    ClientCertificates, ServerChoice, ServerIdentity, ServerTls, ServerTlsSettings, TrustStore,
};
use net::{Stream, h2};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

/// Long enough for a loaded machine; only a test that fails waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Lets the runtime work until the condition holds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    assert!(waited.is_ok(), "never: {what}");
}

/// An address where nobody listens.
pub async fn refusing() -> SocketAddr {
    listener().await.1
}

pub async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A backend that reads what comes, answers `answer`, and closes; an empty answer says nothing and stays.
pub async fn backend(answer: &'static [u8]) -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(say(Stream::from_tcp(stream).unwrap(), answer));
        }
    });
    address
}

async fn say(mut stream: Stream, answer: &'static [u8]) {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await;
    if answer.is_empty() {
        std::future::pending::<()>().await;
    }
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
}

/// A certificate authority with one server and one client certificate.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for a name, and its key.
    pub fn leaf(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    pub fn trust(&self) -> TrustStore {
        TrustStore::from_pem([self.pem.as_str()]).unwrap()
    }
}

/// What a TLS server saw of its clients: the names that they asked for, and whether they showed certificates.
pub type Seen = Arc<Mutex<Vec<(Option<String>, bool)>>>;

/// A server that shows a certificate for `name`, asks for one, and serves with `serve` what speaks TLS.
pub async fn tls_server<F>(
    authority: &Authority,
    name: &str,
    http2: bool,
    serve: fn(Stream) -> F,
) -> (SocketAddr, Seen)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (certificate, key) = authority.leaf(name);
    let identity = ServerIdentity::from_pem(&certificate, &key, None).unwrap();
    let tls = ServerTls::new(&ServerTlsSettings::default()).unwrap();
    let (listener, address) = listener().await;
    let seen = Seen::default();
    let noted = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, identity, noted) = (tls.clone(), identity.clone(), noted.clone());
            tokio::spawn(async move {
                let choice = move |_: Option<&str>| {
                    Some(ServerChoice {
                        is_resumable: true,
                        identity: identity.clone(),
                        client_certificates: ClientCertificates::Request(None),
                    })
                };
                let stream = Stream::from_tcp(stream).unwrap();
                if let Ok(stream) = tls.accept(stream, http2, Arc::new(choice), PATIENCE).await {
                    let info = stream.tls().unwrap();
                    let name = info.sni.as_deref().map(str::to_owned);
                    noted
                        .lock()
                        .push((name, !info.peer_certificates.is_empty()));
                    serve(stream).await;
                }
            });
        }
    });
    (address, seen)
}

/// Answers 200 to whatever is asked.
pub async fn says_ok(stream: Stream) {
    say(stream, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await;
}

/// What a gRPC server says to a health check.
#[derive(Debug, Clone, Copy)]
pub enum Grpc {
    Serving,
    NotServing,
    NoSuchMethod,
    Failing,
    Silent,
}

pub async fn grpc_server(answer: Grpc) -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_grpc(Stream::from_tcp(stream).unwrap(), answer));
        }
    });
    address
}

pub async fn serves_grpc(stream: Stream) {
    serve_grpc(stream, Grpc::Serving).await;
}

async fn serve_grpc(stream: Stream, answer: Grpc) {
    let Ok(mut connection) = ServerConnection::handshake(stream, &Settings::default()).await else {
        return;
    };
    while let Some(Ok(exchange)) = connection.accept().await {
        tokio::spawn(answer_grpc(exchange, answer));
    }
}

async fn answer_grpc(mut exchange: Exchange, answer: Grpc) {
    assert_eq!(exchange.head.uri.path(), "/grpc.health.v1.Health/Check");
    while let Some(Ok(_)) = exchange.body.data().await {}
    let mut head = Response::new(()).into_parts().0;
    let grpc = HeaderValue::from_static("application/grpc");
    head.headers.insert("content-type", grpc);
    let status = |code: &'static str| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(code));
        trailers
    };
    let message = match answer {
        Grpc::Serving => &[0, 0, 0, 0, 2, 8, 1],
        Grpc::NotServing => &[0, 0, 0, 0, 2, 8, 2],
        Grpc::Silent => return std::future::pending().await,
        Grpc::NoSuchMethod | Grpc::Failing => {
            let code = if matches!(answer, Grpc::Failing) {
                "14"
            } else {
                "12"
            };
            head.headers.extend(status(code));
            exchange.respond.send_head(head, true).unwrap();
            return;
        }
    };
    let mut body = exchange.respond.send_head(head, false).unwrap();
    let sent: Result<(), h2::Error> = body.data(Bytes::from_static(message), false).await;
    sent.unwrap();
    body.trailers(status("0")).unwrap();
}

/// A server for names: every name has the address that is set, for a second; it can be told to say nothing or to fail.
pub struct NameServer {
    pub address: SocketAddr,
    /// The address, as a number; zero fails, and one says nothing.
    pub says: Arc<AtomicU32>,
    pub questions: Arc<AtomicUsize>,
}

pub const FAILS: u32 = 0;
pub const HANGS: u32 = 1;

impl NameServer {
    pub async fn start(says: u32) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = Self {
            address: socket.local_addr().unwrap(),
            says: Arc::new(AtomicU32::new(says)),
            questions: Arc::default(),
        };
        let (says, questions) = (server.says.clone(), server.questions.clone());
        tokio::spawn(async move {
            let mut question = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut question).await {
                questions.fetch_add(1, Ordering::Relaxed);
                let says = says.load(Ordering::Relaxed);
                if says != HANGS {
                    let answer = answer_name(&question[..length], says);
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        server
    }
}

/// An answer (RFC 1035, 4.1) with one address of a second, or with "server failure".
fn answer_name(question: &[u8], says: u32) -> Vec<u8> {
    let name = question[12..].iter().position(|byte| *byte == 0).unwrap();
    let asked = &question[12..12 + name + 5];
    let is_a = asked[name + 1..name + 3] == [0, 1];
    let (code, answers) = match says {
        FAILS => (2, 0),
        _ => (0, u8::from(is_a)),
    };
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(asked);
    if answers > 0 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(says.to_be_bytes());
    }
    answer
}
