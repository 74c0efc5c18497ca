//! Which route a request goes to: Kong's three router flavours over an index of our own.
//!
//! No IO and no clock. A [`Router`] is immutable and cheap to clone; [`Router::update`] gives a new one that shares
//! everything that did not change. Matching looks up the host, then walks the path through a radix tree, and takes
//! the best entry it meets, so that its cost depends on the request and not on the number of routes; only routes
//! that name neither a host nor the start of a path are tried one after the other.
//! Matching a plain host or path route allocates nothing.

mod compiled;
mod conditions;
mod error;
mod expression;
mod host;
mod index;
mod matched;
mod pattern;
mod priority;
mod ranked;
mod request;
mod small;
mod spec;
mod traditional;
mod tree;
mod uri;
mod weighted;

use uuid::Uuid;

pub use error::Error;
pub use matched::{Captures, Match};
pub use request::{HeaderLines, NoHeaders, Request, Scheme};
pub use spec::{
    AddressRule, Endpoint, HeaderRule, Protocol, Protocols, RareRules, Routable, RouteSpec,
};
pub use uri::{PathHandling, UpstreamPath, escape_path, normalize_path};

use traditional::Traditional;
use weighted::Weighted;

/// The setting `router_flavor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flavor {
    #[default]
    TraditionalCompatible,
    Traditional,
    Expressions,
}

impl Flavor {
    /// Reads the setting's value.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "traditional_compatible" => Some(Self::TraditionalCompatible),
            "traditional" => Some(Self::Traditional),
            "expressions" => Some(Self::Expressions),
            _ => None,
        }
    }

    /// What a route's `path_handling` amounts to: `v1` counts in the `traditional` flavour only.
    pub fn path_handling(self, configured: PathHandling) -> PathHandling {
        match self {
            Self::Traditional => configured,
            Self::TraditionalCompatible | Self::Expressions => PathHandling::V0,
        }
    }
}

/// One route before and after a change; `None` where it is not there.
#[derive(Debug, Clone)]
pub struct Change<T> {
    /// What the router holds now, as it was put in.
    pub before: Option<T>,
    pub after: Option<T>,
}

/// A route that could not be compiled. What the router held in its place stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    pub id: Uuid,
    pub error: Error,
}

/// Finds the route of a request among many. `T` is what a match gives back.
#[derive(Debug, Clone)]
pub struct Router<T>(Order<T>);

#[derive(Debug)]
enum Order<T> {
    Weighted(Weighted<T>),
    Traditional(Traditional<T>),
}

impl<T> Clone for Order<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Weighted(weighted) => Self::Weighted(weighted.clone()),
            Self::Traditional(traditional) => Self::Traditional(traditional.clone()),
        }
    }
}

impl<T: Routable + Clone> Router<T> {
    /// A router without routes. HTTP and stream routes go into routers of their own.
    pub fn new(flavor: Flavor) -> Self {
        Self(match flavor {
            Flavor::TraditionalCompatible => Order::Weighted(Weighted::new(false)),
            Flavor::Expressions => Order::Weighted(Weighted::new(true)),
            Flavor::Traditional => Order::Traditional(Traditional::new()),
        })
    }

    /// A router with the changes made, and the routes that were refused. Costs what changed, not what is there.
    pub fn update(&self, changes: impl IntoIterator<Item = Change<T>>) -> (Self, Vec<Rejected>) {
        let mut next = self.0.clone();
        let mut rejected = Vec::new();
        for change in changes {
            if let Err(refused) = next.apply(&change) {
                rejected.push(refused);
            }
        }
        (Self(next), rejected)
    }

    /// The route that serves the request.
    pub fn find(&self, request: &Request<'_>) -> Option<Match<'_, T>> {
        match &self.0 {
            Order::Weighted(weighted) => weighted.find(request),
            Order::Traditional(traditional) => traditional.find(request),
        }
    }
}

impl<T: Routable + Clone> Order<T> {
    fn apply(&mut self, change: &Change<T>) -> Result<(), Rejected> {
        match self {
            Self::Weighted(weighted) => apply(weighted, change),
            Self::Traditional(traditional) => apply(traditional, change),
        }
    }
}

/// An order that entries can be put into and taken out of.
trait Entries<T> {
    /// One entry, ready to be put in, or to find the one to take out.
    type Compiled;

    fn compile(&self, spec: &RouteSpec) -> Result<Vec<Self::Compiled>, Error>;
    fn insert(&mut self, compiled: Vec<Self::Compiled>, route: &T);
    fn remove(&mut self, compiled: &[Self::Compiled]);
}

/// The new form is compiled before anything is taken out.
fn apply<T: Routable, O: Entries<T>>(order: &mut O, change: &Change<T>) -> Result<(), Rejected> {
    let compile = |route: &T| {
        order.compile(route.spec()).map_err(|error| Rejected {
            id: route.spec().id,
            error,
        })
    };
    let after = change.after.as_ref().map(compile).transpose()?;
    match (&change.before, &change.after, &after) {
        // Only what comes with the route has changed, so that one compilation does for both.
        (Some(before), Some(route), Some(after)) if before.spec() == route.spec() => {
            order.remove(after)
        }
        (Some(before), ..) => {
            // What does not compile was never put in.
            if let Ok(before) = order.compile(before.spec()) {
                order.remove(&before);
            }
        }
        (None, ..) => {}
    }
    if let (Some(after), Some(route)) = (after, &change.after) {
        order.insert(after, route);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
