//! Phase *route*: which route a request goes to, and whether it came in a way that the route accepts.

use std::sync::Arc;

use http1::{Headers, Known};
use router::{Captures, HeaderLines, Protocol, Request, Scheme, UpstreamPath};
use snapshot::{Route, Service};

use crate::client_address::is_trusted;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::grpc::is_grpc;

/// The route of an exchange, and what follows from how it matched.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub route: Arc<Route>,
    /// Path and query for the upstream.
    pub target: Vec<u8>,
    /// The part of the path that the route takes away.
    pub prefix: Option<Vec<u8>>,
    /// The client's `Host`, if the route hands it on.
    pub preserved_host: Option<String>,
    /// What the route's regular expressions caught.
    pub captures: Option<Box<Captures>>,
}

impl Chosen {
    /// The service that the route leads to; none if the route has none or the service is disabled.
    pub fn service(&self) -> Option<&Arc<Service>> {
        self.route.service.as_ref()
    }

    /// Whether the request body is read whole before the upstream is asked.
    pub fn buffers_request(&self) -> bool {
        self.route.request_buffering
    }
}

/// The header lines of a request as the router reads them.
struct Lines<'a>(&'a Headers);

impl HeaderLines for Lines<'_> {
    fn visit(&self, visitor: &mut dyn FnMut(&[u8], &[u8])) {
        for field in self.0.iter() {
            visitor(field.name, field.value);
        }
    }
}

impl Exchange {
    /// Finds the route.
    pub fn route(&mut self) -> Result<(), Error> {
        let path = router::normalize_path(self.head.path());
        let query = self.head.query();
        let lines = Lines(&self.head.headers);
        let request = Request {
            scheme: if self.peer.tls {
                Scheme::Https
            } else {
                Scheme::Http
            },
            method: self.head.method().as_str().as_bytes(),
            host: self.head.host(),
            path: &path,
            query: query.unwrap_or_default(),
            headers: &lines,
            sni: self.peer.sni.as_deref(),
            source: self.client,
            destination: self.peer.destination,
        };
        let Some(found) = self.published.snapshot.http.find(&request) else {
            return Err(Error::NoRoute);
        };
        let route = found.route;
        let service = route.service.as_deref();
        let base = service
            .and_then(|service| service.path.as_deref())
            .unwrap_or("/");
        let parts = UpstreamPath {
            path: &path,
            matched: found.matched_len(),
            base: base.as_bytes(),
            // Compat: a gRPC upstream is asked for the client's path, which names the method.
            strip_path: route.strip_path && !service.is_some_and(is_grpc),
            handling: route.path_handling,
        };
        let mut target = self.worker.take_target();
        target.reserve(path.len() + base.len() + query.map_or(0, <[u8]>::len) + 2);
        parts.write(&mut target);
        if let Some(query) = query {
            target.push(b'?');
            target.extend_from_slice(query);
        }
        let prefix = found
            .matched_path(&path)
            .filter(|prefix| route.strip_path && *prefix != b"/")
            .map(<[u8]>::to_vec);
        let preserved_host = if route.preserve_host {
            let host = self.head.host();
            host.map(|host| String::from_utf8_lossy(host).into_owned())
        } else {
            None
        };
        self.chosen = Some(Chosen {
            route: route.clone(),
            target,
            prefix,
            preserved_host,
            captures: found.captures,
        });
        Ok(())
    }

    /// Refuses plain HTTP where the route wants https, and mixes of gRPC with anything else.
    pub fn check_protocol(&self) -> Result<(), Error> {
        let route = &self.chosen()?.route;
        let protocols = route.spec.protocols;
        let over_tls = self.forwarded_proto() == b"https";
        if protocols.contains(Protocol::Https) && !protocols.contains(Protocol::Http) && !over_tls {
            return Err(Error::HttpsRequired(route.https_redirect_status_code));
        }
        if !protocols.contains(Protocol::Grpc) && !protocols.contains(Protocol::Grpcs) {
            return Ok(());
        }
        let is_grpc = self
            .head
            .headers
            .get(Known::ContentType)
            .is_some_and(|value| value.starts_with(b"application/grpc"));
        match (is_grpc, self.http2) {
            (false, _) => Err(Error::NotGrpc),
            (true, false) => Err(Error::Http2Required),
            (true, true) if !protocols.contains(Protocol::Grpc) && !over_tls => {
                Err(Error::GrpcsRequired)
            }
            (true, true) => Ok(()),
        }
    }

    /// Whether who connected may speak for the client.
    pub fn peer_is_trusted(&self) -> bool {
        let settings = &self.published.settings;
        match self.peer.address {
            Some(peer) => is_trusted(&settings.trusted_ips, peer.ip()),
            None => settings.trust_unix,
        }
    }

    /// The scheme that the client used, as far as we know or a trusted peer says.
    pub fn forwarded_proto(&self) -> &[u8] {
        let own: &[u8] = if self.peer.tls { b"https" } else { b"http" };
        match self.head.headers.get(Known::XForwardedProto) {
            Some(said) if self.peer_is_trusted() => said,
            _ => own,
        }
    }
}
