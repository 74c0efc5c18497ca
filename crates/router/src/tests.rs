//! The router against Kong's recorded decisions, against `atc-router`, and against naive matchers.

mod behaviour;
mod differential;
mod expressions;
mod hostile;
mod naive;
mod order;
mod paths;
mod samples;
mod traditional;
mod updates;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use uuid::Uuid;

use crate::{
    AddressRule, Change, Endpoint, Flavor, HeaderRule, Protocol, RareRules, Request, RouteSpec,
    Router,
};

/// A route for http and https; the number is its id.
pub(crate) fn route(id: u128) -> Builder {
    Builder(RouteSpec {
        id: Uuid::from_u128(id),
        protocols: [Protocol::Http, Protocol::Https].into_iter().collect(),
        ..RouteSpec::default()
    })
}

/// Route fields, in the words of the record.
#[derive(Debug, Clone)]
pub(crate) struct Builder(pub(crate) RouteSpec);

impl Builder {
    pub(crate) fn protocols(mut self, names: &[&str]) -> Self {
        self.0.protocols = names
            .iter()
            .map(|name| Protocol::parse(name).unwrap())
            .collect();
        self
    }

    pub(crate) fn hosts(mut self, hosts: &[&str]) -> Self {
        self.0.hosts = hosts.iter().map(|host| Box::from(*host)).collect();
        self
    }

    pub(crate) fn paths(mut self, paths: &[&str]) -> Self {
        self.0.paths = paths.iter().map(|path| Box::from(*path)).collect();
        self
    }

    pub(crate) fn methods(mut self, methods: &[&str]) -> Self {
        self.rare().methods = methods.iter().map(|method| Box::from(*method)).collect();
        self
    }

    pub(crate) fn header(mut self, name: &str, values: &[&str]) -> Self {
        self.rare().headers.push(HeaderRule {
            name: name.into(),
            values: values.iter().map(|value| Box::from(*value)).collect(),
        });
        self
    }

    pub(crate) fn snis(mut self, snis: &[&str]) -> Self {
        self.rare().snis = snis.iter().map(|sni| Box::from(*sni)).collect();
        self
    }

    pub(crate) fn source(mut self, address: Option<&str>, port: Option<u16>) -> Self {
        self.rare().sources.push(endpoint(address, port));
        self
    }

    pub(crate) fn destination(mut self, address: Option<&str>, port: Option<u16>) -> Self {
        self.rare().destinations.push(endpoint(address, port));
        self
    }

    pub(crate) fn expression(mut self, text: &str, priority: u64) -> Self {
        self.rare().expression = Some(text.into());
        self.rare().priority = priority;
        self
    }

    pub(crate) fn regex_priority(mut self, priority: i64) -> Self {
        self.0.regex_priority = priority;
        self
    }

    pub(crate) fn created_at(mut self, seconds: i64) -> Self {
        self.0.created_at = seconds;
        self
    }

    fn rare(&mut self) -> &mut RareRules {
        self.0.rare.get_or_insert_default()
    }
}

pub(crate) fn endpoint(address: Option<&str>, port: Option<u16>) -> Endpoint {
    Endpoint {
        address: address.map(|text| AddressRule::parse(text).unwrap()),
        port,
    }
}

/// A router in which every route compiles.
pub(crate) fn router(flavor: Flavor, routes: &[Builder]) -> Router<RouteSpec> {
    let (router, rejected) = Router::new(flavor).update(additions(routes));
    assert_eq!(rejected, []);
    router
}

pub(crate) fn additions(routes: &[Builder]) -> impl Iterator<Item = Change<RouteSpec>> {
    routes.iter().map(|route| Change {
        before: None,
        after: Some(route.0.clone()),
    })
}

/// The number of the route that matches.
pub(crate) fn found(router: &Router<RouteSpec>, request: &Request<'_>) -> Option<u128> {
    router.find(request).map(|found| found.route.id.as_u128())
}

/// A GET of a path from a host.
pub(crate) fn get<'a>(host: &'a str, path: &'a str) -> Request<'a> {
    Request::http(
        b"GET",
        (!host.is_empty()).then_some(host.as_bytes()),
        path.as_bytes(),
    )
}

pub(crate) fn peer(last: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), port)
}
