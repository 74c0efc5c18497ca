//! Exchanges without sockets, for tests of plugins.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http1::{Framing, Method, RequestHead};

use crate::{ClientConnection, Entity, Exchange, Matched, Work};

/// A request that a test makes, and what became of it.
pub struct Sample {
    pub head: RequestHead,
    pub target: Vec<u8>,
    pub work: Work,
    pub connection: ClientConnection<'static>,
    pub route: Option<Entity<'static>>,
    pub service: Option<Entity<'static>>,
}

impl Sample {
    /// A request with these header lines, from 127.0.0.1 over plain HTTP/1.1, to an unnamed route.
    ///
    /// # Panics
    /// If method, target or headers cannot stand in a request.
    #[expect(clippy::panic, reason = "a test that is written wrong should stop")]
    pub fn new(method: &str, target: &str, headers: &[(&str, &str)]) -> Self {
        let framing = Framing::None;
        let method = Method::parse(method.as_bytes())
            .unwrap_or_else(|error| panic!("the method {method:?}: {error}"));
        let mut head = RequestHead::new(method, target.as_bytes(), framing)
            .unwrap_or_else(|error| panic!("the target {target:?}: {error}"));
        for (name, value) in headers {
            head.headers
                .append(*name, value)
                .unwrap_or_else(|error| panic!("the header {name}: {value}: {error}"));
        }
        Self {
            head,
            target: target.as_bytes().to_vec(),
            work: Work::default(),
            connection: connection(),
            route: Some(Entity {
                id: uuid::Uuid::from_u128(1),
                name: None,
            }),
            service: Some(Entity {
                id: uuid::Uuid::from_u128(2),
                name: None,
            }),
        }
    }

    /// The request as a handler gets it.
    pub fn exchange(&mut self) -> Exchange<'_> {
        Exchange {
            head: &mut self.head,
            target: &mut self.target,
            connection: self.connection,
            matched: Matched {
                route: self.route,
                service: self.service,
                captures: None,
            },
            work: &mut self.work,
        }
    }
}

/// A plain connection of a client at 127.0.0.1.
pub fn connection() -> ClientConnection<'static> {
    let client = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 40_000);
    ClientConnection {
        client: Some(client),
        peer: Some(client),
        port: 80,
        trusted: false,
        http2: false,
        tls: None,
        forwarded_proto: "http",
        host: "example.test",
        request_id: "0123456789abcdef0123456789abcdef",
        started: std::time::Instant::now(),
    }
}
