//! What the fuzz targets do with their input, once, for two users: the cargo-fuzz targets in `fuzz/`, which look for
//! new inputs as long as they are let, and a short seeded run among the ordinary tests, which repeats itself exactly.
//!
//! A target takes any bytes, must not panic, and asserts what holds for every input.

mod admin;
mod declarative;
mod http1;
mod mutate;
mod proxy_protocol;
mod router;

pub use mutate::run_seeded;

/// A place where hostile bytes come in.
pub struct Target {
    /// The name of the cargo-fuzz target.
    pub name: &'static str,
    /// Looks at one input.
    pub run: fn(&[u8]),
    /// Inputs that mutation starts from.
    pub seeds: &'static [&'static [u8]],
    /// Pieces that mean something to the parser.
    pub words: &'static [&'static [u8]],
}

/// Requests of a client: framing, forwarding, pipelining.
pub const HTTP1_REQUEST: Target = Target {
    name: "http1_request",
    run: http1::request,
    seeds: http1::REQUESTS,
    words: http1::WORDS,
};

/// Responses of an upstream: heads and bodies.
pub const HTTP1_RESPONSE_BODY: Target = Target {
    name: "http1_response_body",
    run: http1::response_body,
    seeds: http1::RESPONSES,
    words: http1::WORDS,
};

/// Matching of requests to routes, in every flavour.
pub const ROUTE_MATCH: Target = Target {
    name: "route_match",
    run: router::route_match,
    seeds: router::REQUESTS,
    words: router::WORDS,
};

/// The normal form of paths.
pub const PATH_NORMALISE: Target = Target {
    name: "path_normalise",
    run: router::path_normalise,
    seeds: router::PATHS,
    words: router::WORDS,
};

/// The header that a load balancer sends before the first byte of a client.
pub const PROXY_PROTOCOL: Target = Target {
    name: "proxy_protocol",
    run: proxy_protocol::header,
    seeds: proxy_protocol::HEADERS,
    words: proxy_protocol::WORDS,
};

/// Declarative configuration in YAML and JSON.
pub const DECLARATIVE: Target = Target {
    name: "declarative",
    run: declarative::document,
    seeds: declarative::DOCUMENTS,
    words: declarative::WORDS,
};

/// Bodies that are sent to the Admin API.
pub const ADMIN_BODY: Target = Target {
    name: "admin_body",
    run: admin::body,
    seeds: admin::BODIES,
    words: admin::WORDS,
};

/// Every target.
pub const TARGETS: &[&Target] = &[
    &HTTP1_REQUEST,
    &HTTP1_RESPONSE_BODY,
    &ROUTE_MATCH,
    &PATH_NORMALISE,
    &PROXY_PROTOCOL,
    &DECLARATIVE,
    &ADMIN_BODY,
];
