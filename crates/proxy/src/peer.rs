//! What is known of a client connection before its first request.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use http1::{Known, OwnLines, RequestHead};
use net::{Address, Stream};

use crate::settings::DataPlaneSettings;

/// How many connections there have been.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// Who is at the other end, and how they came.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The address that the connection comes from; none on a unix socket.
    pub address: Option<SocketAddr>,
    /// Its IP address as text, `unix:` on a unix socket.
    pub text: Box<str>,
    /// The address that the client connected to, its port mapped by `port_maps`.
    pub destination: Option<SocketAddr>,
    /// The port of it as text.
    pub port: Box<str>,
    /// Who the PROXY protocol says is behind the connection.
    pub preface: Option<SocketAddr>,
    /// Whether the client speaks TLS to us.
    pub tls: bool,
    /// The number of the connection among those of the process.
    pub number: u64,
    /// How many requests came over it.
    pub requests: Cell<u64>,
    /// The TLS version, as nginx names it; empty without TLS.
    pub tls_version: &'static str,
    /// The cipher suite, as nginx names it; empty without TLS.
    pub tls_cipher: &'static str,
    /// The name that the client asked for in its TLS greeting.
    pub sni: Option<Box<str>>,
    /// The certificates that the client showed, in DER, the leaf first.
    pub client_certificates: Vec<Vec<u8>>,
    /// What an upstream is told about a client whom nobody stands before. Perf: prepared once.
    pub lines: OwnLines,
    /// The last `Host`, and the host in it. Perf: a connection mostly has requests for one.
    host: RefCell<(Box<[u8]>, Rc<str>)>,
}

/// No longer `Host` is kept with a connection.
const LONGEST_HOST: usize = 256;

impl Peer {
    /// Asks a connection, after its handshakes.
    pub fn of(stream: &Stream, preface: Option<SocketAddr>, settings: &DataPlaneSettings) -> Self {
        let tls = stream.tls();
        let address = stream.peer_addr().ip();
        let local = stream.local_addr().ok().and_then(Address::ip);
        let mapped = |port: u16| settings.port_maps.get(&port).copied().unwrap_or(port);
        let text = address.map_or_else(|| "unix:".into(), |address| address.ip().to_string());
        let port = local.map_or_else(String::new, |local| mapped(local.port()).to_string());
        let proto: &[u8] = if tls.is_some() { b"https" } else { b"http" };
        let mut lines = OwnLines::new();
        for (name, value) in [
            (Known::XForwardedFor, text.as_bytes()),
            (Known::XForwardedProto, proto),
            (Known::XForwardedPort, port.as_bytes()),
            (Known::XRealIp, text.as_bytes()),
        ] {
            // Digits, dots and colons: nothing that could be refused.
            let _ = lines.add(name, value);
        }
        lines.shrink_to_fit();
        Self {
            address,
            text: text.into(),
            destination: local.map(|local| SocketAddr::new(local.ip(), mapped(local.port()))),
            port: port.into(),
            preface,
            lines,
            tls: tls.is_some(),
            number: CONNECTIONS.fetch_add(1, Ordering::Relaxed) + 1,
            requests: Cell::new(0),
            host: RefCell::default(),
            tls_version: tls.map_or("", |tls| tls.version.name()),
            tls_cipher: tls.map_or("", |tls| tls.cipher),
            client_certificates: tls.map_or_else(Vec::new, |tls| tls.peer_certificates.clone()),
            sni: tls.and_then(|tls| tls.sni.clone()),
        }
    }

    /// The host that a request is for, without port, in lower case.
    ///
    /// Compat: a request of HTTP/1.0 may name none; nginx takes the name of its server then, which Kong calls `kong`.
    pub fn host_of(&self, head: &RequestHead) -> Rc<str> {
        let Some(said) = head.host() else {
            return "kong".into();
        };
        let mut last = self.host.borrow_mut();
        if !said.is_empty() && *last.0 == *said {
            return last.1.clone();
        }
        let mut host = String::from_utf8_lossy(http1::host_name(said)).into_owned();
        host.make_ascii_lowercase();
        let host: Rc<str> = host.into();
        if said.len() <= LONGEST_HOST {
            *last = (said.into(), host.clone());
        }
        host
    }
}
