//! The Status API: health and metrics on a listener of their own, without the power to change the configuration.

use std::sync::Arc;

use axum::Router;

use crate::State;
use crate::endpoint::{Endpoint, Operation};
use crate::pages::{PAGES, READY};
use crate::router::{self, Origins};

/// The pages of the Admin API that are here as well.
const SHARED: &[&str] = &["/status", "/status/dns", "/metrics"];

/// What a node without a database shows as well, to be read only.
const WITHOUT_DATABASE: &[&str] = &[
    "/upstreams/{upstreams}/health",
    "/upstreams/{upstreams}/targets",
    "/upstreams/{upstreams}/targets/all",
    "/upstreams/{upstreams}/targets/{targets}",
];

/// The Status API.
pub fn router(state: State) -> Router {
    let endpoints = table(state.declarative.is_some());
    router::build(state, endpoints, Origins::Ignored)
}

fn table(without_database: bool) -> Arc<[Endpoint]> {
    let shared = PAGES
        .iter()
        .filter(|page| SHARED.contains(&page.path))
        .copied();
    let upstreams = PAGES
        .iter()
        .filter(|page| without_database && WITHOUT_DATABASE.contains(&page.path));
    let pages = shared
        .chain(upstreams.map(|page| page.read_only()))
        .chain([READY]);
    pages
        .map(|page| Endpoint {
            path: page.path.to_owned(),
            operation: Operation::Page(page),
        })
        .collect()
}

#[cfg(test)]
mod tests;
