//! What a route asks of a request: the typed form of a route record's matching fields.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use uuid::Uuid;

/// One protocol a route serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Protocol {
    Http = 1,
    Https = 1 << 1,
    Grpc = 1 << 2,
    Grpcs = 1 << 3,
    Tcp = 1 << 4,
    Tls = 1 << 5,
    TlsPassthrough = 1 << 6,
    Udp = 1 << 7,
}

impl Protocol {
    /// Every protocol, in the order of the declaration.
    pub const ALL: [Self; 8] = [
        Self::Http,
        Self::Https,
        Self::Grpc,
        Self::Grpcs,
        Self::Tcp,
        Self::Tls,
        Self::TlsPassthrough,
        Self::Udp,
    ];

    /// Reads a protocol's name in a route or service record.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }

    /// The name in route and service records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Grpc => "grpc",
            Self::Grpcs => "grpcs",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::TlsPassthrough => "tls_passthrough",
            Self::Udp => "udp",
        }
    }

    /// Whether it is served by the stream proxy and not by the HTTP proxy.
    pub fn is_stream(self) -> bool {
        self as u8 >= Self::Tcp as u8
    }
}

/// The set of protocols a route serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Protocols(u8);

impl Protocols {
    /// Whether the set holds the protocol.
    pub fn contains(self, protocol: Protocol) -> bool {
        self.0 & protocol as u8 != 0
    }

    /// How many protocols the set holds.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether the set holds none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the route belongs to the stream proxy. Stream and HTTP protocols never share a route.
    pub fn is_stream(self) -> bool {
        self.iter().any(Protocol::is_stream)
    }

    /// The protocols in the order of [`Protocol::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Protocol> {
        Protocol::ALL.into_iter().filter(move |p| self.contains(*p))
    }
}

impl FromIterator<Protocol> for Protocols {
    fn from_iter<I: IntoIterator<Item = Protocol>>(protocols: I) -> Self {
        Self(protocols.into_iter().fold(0, |set, p| set | p as u8))
    }
}

/// The matching fields of one route. The rare ones sit behind a pointer: with many routes, size counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RouteSpec {
    pub id: Uuid,
    /// Seconds since the epoch; the older route wins a tie in the `traditional` flavour.
    pub created_at: i64,
    pub regex_priority: i64,
    pub protocols: Protocols,
    /// Exact names, `*.suffix` or `prefix.*`, each with an optional `:port`.
    pub hosts: Box<[Box<str>]>,
    /// Prefixes, or regular expressions after a `~`.
    pub paths: Box<[Box<str>]>,
    pub rare: Option<Box<RareRules>>,
}

/// The matching fields that most routes leave empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RareRules {
    pub methods: Vec<Box<str>>,
    pub headers: Vec<HeaderRule>,
    /// Exact names, or one wildcard at either end.
    pub snis: Vec<Box<str>>,
    pub sources: Vec<Endpoint>,
    pub destinations: Vec<Endpoint>,
    /// Kong's expression language; takes the place of every other matching field.
    pub expression: Option<Box<str>>,
    /// Orders expression routes; the greater wins.
    pub priority: u64,
}

/// A header that must be there with one of the values.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderRule {
    pub name: Box<str>,
    /// Compared without regard to case; `~*` opens a regular expression.
    pub values: Vec<Box<str>>,
}

/// An address, a network, a port, or an address and a port.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Endpoint {
    pub address: Option<AddressRule>,
    pub port: Option<u16>,
}

/// The address part of an [`Endpoint`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AddressRule {
    Exact(IpAddr),
    Network(IpNet),
}

impl AddressRule {
    /// Reads `10.1.2.3`, `10.0.0.0/8` and their IPv6 forms; host bits behind the mask are cleared.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains('/') {
            text.parse::<IpNet>()
                .ok()
                .map(|net| Self::Network(net.trunc()))
        } else {
            text.parse().ok().map(Self::Exact)
        }
    }
}

impl RouteSpec {
    /// The rare fields, empty ones if there are none.
    pub(crate) fn rare(&self) -> &RareRules {
        static NONE: RareRules = RareRules {
            methods: Vec::new(),
            headers: Vec::new(),
            snis: Vec::new(),
            sources: Vec::new(),
            destinations: Vec::new(),
            expression: None,
            priority: 0,
        };
        self.rare.as_deref().unwrap_or(&NONE)
    }
}

/// What a router hands back for a match: anything that can show the [`RouteSpec`] it was made from.
pub trait Routable {
    /// Must not change while the value is in a router: an update finds the old entries by it.
    fn spec(&self) -> &RouteSpec;
}

impl Routable for RouteSpec {
    fn spec(&self) -> &RouteSpec {
        self
    }
}

impl<T: Routable> Routable for Arc<T> {
    fn spec(&self) -> &RouteSpec {
        (**self).spec()
    }
}
