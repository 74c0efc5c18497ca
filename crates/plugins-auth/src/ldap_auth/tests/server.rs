//! An LDAP server that the tests play: it reads and writes real messages over connections that are no sockets.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use asn1_rs::{Any, FromBer as _, Header, ToDer as _};
use bytes::Bytes;
use parking_lot::Mutex;
use plugin_api::{
    BoxFuture, Connection, Destination, HttpRequest, HttpResponse, Network, NetworkError,
    TlsOptions,
};

/// A server with one user.
#[derive(Default)]
pub(super) struct FakeServer {
    pub behaviour: Mutex<Behaviour>,
    heard: Mutex<Vec<String>>,
}

/// What the server does out of the ordinary.
#[derive(Default, Clone)]
pub(super) struct Behaviour {
    /// Nobody can connect.
    pub is_away: bool,
    /// It ends each connection after one answer.
    pub hangs_up: bool,
    /// The code of every answer.
    pub code: Option<u8>,
    /// What it says instead of an answer.
    pub says: Option<Vec<u8>>,
    /// What follows each answer.
    pub adds: Vec<u8>,
}

impl FakeServer {
    pub const ENTRY: &'static str = "uid=alice,ou=people,dc=test";
    pub const PASSWORD: &'static str = "se:cret";

    /// What has happened since the last call.
    pub fn take_heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock())
    }

    fn note(&self, text: impl Into<String>) {
        self.heard.lock().push(text.into());
    }

    fn answer(&self, request: &[u8]) -> Vec<u8> {
        let (rest, message) = Any::from_ber(request).unwrap();
        assert!(rest.is_empty());
        let (operation, id) = u32::from_ber(message.data).unwrap();
        let (_, operation) = Any::from_ber(operation).unwrap();
        let (answer, code) = match operation.tag().0 {
            0 => {
                let (name, version) = u32::from_ber(operation.data).unwrap();
                let (password, name) = Any::from_ber(name).unwrap();
                let (_, password) = Any::from_ber(password).unwrap();
                assert_eq!((version, password.tag().0), (3, 0));
                let text = |any: &Any<'_>| String::from_utf8(any.data.to_vec()).unwrap();
                let (name, password) = (text(&name), text(&password));
                self.note(format!("bind {name} {password}"));
                assert!(!password.is_empty());
                let is_right = name == Self::ENTRY && password == Self::PASSWORD;
                (1, if is_right { 0 } else { 49 })
            }
            23 => {
                let (_, name) = Any::from_ber(operation.data).unwrap();
                assert_eq!(name.data, b"1.3.6.1.4.1.1466.20037");
                self.note("StartTLS");
                (24, 0)
            }
            other => panic!("operation {other}"),
        };
        let behaviour = self.behaviour.lock().clone();
        let usual = || said(id, answer, behaviour.code.unwrap_or(code));
        let mut answer = behaviour.says.unwrap_or_else(usual);
        answer.extend(behaviour.adds);
        answer
    }
}

/// An answer of a server.
pub(super) fn said(id: u32, operation: u8, code: u8) -> Vec<u8> {
    // A code, no entry, and a word for people.
    let parts = [10, 1, code, 4, 0, 4, 2, b'n', b'o'];
    let mut content = id.to_der_vec().unwrap();
    content.extend([0x60 | operation, parts.len() as u8]);
    content.extend(parts);
    let header = Header::new_simple(asn1_rs::Tag::Sequence);
    Any::new(header.with_length(content.len().into()), &content)
        .to_der_vec()
        .unwrap()
}

struct Line {
    server: Arc<FakeServer>,
    said: Vec<u8>,
    is_over: bool,
}

type Io<'a, T> = Pin<Box<dyn Future<Output = Result<T, NetworkError>> + Send + 'a>>;

impl Connection for Line {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> Io<'a, ()> {
        let answers = !self.is_over;
        self.is_over = self.server.behaviour.lock().hangs_up;
        if answers {
            self.said = self.server.answer(bytes);
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn read<'a>(&'a mut self, limit: usize) -> Io<'a, Bytes> {
        Box::pin(async move {
            // Answers come in small pieces, and not at once.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            let length = self.said.len().min(limit).min(700);
            Ok(self.said.drain(..length).collect())
        })
    }

    fn start_tls<'a>(&'a mut self, tls: &'a TlsOptions) -> Io<'a, ()> {
        self.server.note(format!("TLS verify={}", tls.verify));
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The way to the server.
pub(super) struct FakeNetwork(pub Arc<FakeServer>);

impl Network for FakeNetwork {
    fn http(&self, _: HttpRequest) -> BoxFuture<Result<HttpResponse, NetworkError>> {
        Box::pin(std::future::ready(Err(NetworkError::Timeout)))
    }

    fn datagram(&self, _: Destination, _: Bytes) -> BoxFuture<Result<(), NetworkError>> {
        Box::pin(std::future::ready(Err(NetworkError::Timeout)))
    }

    fn connect(
        &self,
        to: Destination,
        tls: Option<TlsOptions>,
        _: Duration,
    ) -> BoxFuture<Result<Box<dyn Connection>, NetworkError>> {
        let tls = tls.map(|tls| tls.verify);
        self.0
            .note(format!("connect {}:{} {tls:?}", to.host, to.port));
        let is_away = self.0.behaviour.lock().is_away;
        let line = Line {
            server: self.0.clone(),
            said: Vec::new(),
            is_over: false,
        };
        Box::pin(std::future::ready(match is_away {
            false => Ok(Box::new(line) as Box<dyn Connection>),
            true => Err(NetworkError::Failed("refused".to_owned())),
        }))
    }

    fn resolve(&self, _: &str, _: u16) -> BoxFuture<Result<Vec<SocketAddr>, NetworkError>> {
        Box::pin(std::future::ready(Err(NetworkError::Timeout)))
    }
}
