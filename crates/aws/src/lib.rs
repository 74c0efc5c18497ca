//! Requests to Amazon Web Services, for whichever plugin makes some: credentials from wherever the machine has some, and
//! signatures.

mod chain;
mod credentials;
mod identity;
mod keeper;
mod profile;
mod signature;
mod sts;

pub use chain::{Chain, Metadata};
pub use credentials::Credentials;
pub use identity::{Identity, Role, region};
pub use keeper::{Keeper, Source};
pub use signature::{ENCODED, Signable, hash, query, sign};
pub use sts::{AssumedRole, TokenService};

use std::sync::Arc;
use std::time::Duration;

use plugin_api::{
    BoxFuture, HttpProxy, HttpRequest, HttpResponse, Network, NetworkError, TlsOptions,
};

/// How long a service may take that gives credentials.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer with credentials.
const MOST_ANSWER: usize = 64 << 10;

/// The domain of the services of a region.
pub fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

/// Makes a request, through a proxy if there is one.
pub fn exchange(
    network: &Arc<dyn Network>,
    proxy: Option<&HttpProxy>,
    request: HttpRequest,
) -> BoxFuture<Result<HttpResponse, NetworkError>> {
    match proxy {
        Some(proxy) => network.http_through(proxy.clone(), request),
        None => network.http(request),
    }
}

/// A request for credentials, without a body.
fn ask(method: &str, url: String, headers: Vec<(String, Vec<u8>)>) -> HttpRequest {
    HttpRequest {
        method: method.to_owned(),
        url,
        headers,
        body: bytes::Bytes::new(),
        timeout: PATIENCE,
        keep_alive: Duration::ZERO,
        tls: TlsOptions::default(),
        max_response: MOST_ANSWER,
    }
}

#[cfg(test)]
mod tests;
