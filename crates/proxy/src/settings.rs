//! What the data plane is told by the node's settings, already parsed and checked.
//!
//! The names follow Kong's settings; the defaults are Kong's defaults.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use ipnet::IpNet;
use net::tls::{ClientIdentity, ServerIdentity, TrustStore};

use crate::media::Media;

/// Everything that a worker wants to know besides the snapshot; one value is shared by all workers and replaced whole.
#[derive(Debug, Clone)]
pub struct DataPlaneSettings {
    /// What `Server` and `Via` call this gateway: `silverback/<version>`.
    pub server_token: Bytes,
    /// The setting `headers`: which headers of our own an answer carries.
    pub headers: ResponseHeaders,
    /// The setting `headers_upstream`: whether the upstream is sent `X-Kong-Request-Id`.
    pub upstream_request_id: bool,
    /// The setting `trusted_ips`: peers whose word about the client is believed.
    pub trusted_ips: Vec<IpNet>,
    /// Whether `trusted_ips` names `unix:`: peers on unix sockets are believed.
    pub trust_unix: bool,
    /// The setting `allow_debug_header`: a request with `Kong-Debug: 1` is told which route and service took it.
    pub debug_header: bool,
    /// The setting `real_ip_header`.
    pub real_ip_header: RealIpHeader,
    /// The setting `real_ip_recursive`.
    pub real_ip_recursive: bool,
    /// The setting `error_default_type`: the form of an error page when the request does not say.
    pub error_default_type: Media,
    /// The settings `error_template_*`, read from their files.
    pub error_templates: ErrorTemplates,
    /// The settings `upstream_keepalive_*`.
    pub upstream_keepalive: UpstreamKeepalive,
    /// The setting `port_maps`: what `X-Forwarded-Port` says for a port that we listen on.
    pub port_maps: HashMap<u16, u16>,
    /// Limits on what a client may send and how slowly.
    pub limits: Limits,
    /// The setting `nginx_http_charset`: added to a textual `Content-Type` that names none; empty adds nothing.
    pub charset: String,
    /// The settings `ssl_cert` and `ssl_cert_key`: shown to clients whose server name has no certificate.
    pub default_identity: Option<ServerIdentity>,
    /// The settings `client_ssl_cert` and `client_ssl_cert_key`: shown to an upstream when its service names no certificate.
    pub client_identity: Option<ClientIdentity>,
    /// The setting `lua_ssl_trusted_certificate`: what upstream certificates are checked against when a service names no CA.
    pub trust: Option<TrustStore>,
    /// Whether upstream certificates are checked when the service leaves `tls_verify` open.
    pub upstream_tls_verify: bool,
    /// How many intermediate certificates are accepted when the service leaves `tls_verify_depth` open.
    pub upstream_tls_verify_depth: Option<u32>,
}

impl Default for DataPlaneSettings {
    fn default() -> Self {
        Self {
            server_token: Bytes::from_static(
                concat!("silverback/", env!("CARGO_PKG_VERSION")).as_bytes(),
            ),
            headers: ResponseHeaders::default(),
            upstream_request_id: true,
            trusted_ips: Vec::new(),
            trust_unix: false,
            debug_header: false,
            real_ip_header: RealIpHeader::Named("x-real-ip".to_owned()),
            real_ip_recursive: false,
            error_default_type: Media::Plain,
            error_templates: ErrorTemplates::default(),
            upstream_keepalive: UpstreamKeepalive::default(),
            port_maps: HashMap::new(),
            limits: Limits::default(),
            charset: "UTF-8".to_owned(),
            default_identity: None,
            client_identity: None,
            trust: None,
            upstream_tls_verify: false,
            upstream_tls_verify_depth: None,
        }
    }
}

/// Which of our own headers an answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHeaders {
    pub server: bool,
    pub via: bool,
    pub proxy_latency: bool,
    pub upstream_latency: bool,
    pub response_latency: bool,
    pub upstream_status: bool,
    pub request_id: bool,
}

impl ResponseHeaders {
    /// The setting `headers = off`.
    pub const OFF: Self = Self {
        server: false,
        via: false,
        proxy_latency: false,
        upstream_latency: false,
        response_latency: false,
        upstream_status: false,
        request_id: false,
    };
}

impl Default for ResponseHeaders {
    fn default() -> Self {
        Self {
            server: true,
            via: true,
            proxy_latency: true,
            upstream_latency: true,
            response_latency: true,
            upstream_status: false,
            request_id: true,
        }
    }
}

/// Where a trusted peer says who the client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RealIpHeader {
    /// `X-Forwarded-For`, or any list of addresses in a header of this (lower-case) name.
    Named(String),
    /// The PROXY protocol preface of the connection.
    ProxyProtocol,
}

/// Pages with two `%s`, for the message and the request id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorTemplates {
    pub html: Option<String>,
    pub json: Option<String>,
    pub xml: Option<String>,
    pub plain: Option<String>,
}

/// How connections to upstreams are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamKeepalive {
    /// Idle connections kept for one peer by one worker; 0 keeps none.
    pub pool_size: usize,
    /// Requests that one connection may carry; 0 is no limit.
    pub max_requests: u64,
    /// How long a connection may idle; zero is no limit.
    pub idle_timeout: Duration,
}

impl Default for UpstreamKeepalive {
    fn default() -> Self {
        Self {
            pool_size: 512,
            max_requests: 10_000,
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// Bounds on what one client can make a worker hold or wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `large_client_header_buffers`, its size: the longest request line and the longest header line.
    pub header_line: usize,
    /// `large_client_header_buffers`, size times number: the longest head.
    pub head: usize,
    /// Header lines in one request.
    pub header_count: usize,
    /// `client_max_body_size`; 0 is no limit.
    pub body: u64,
    /// `client_body_buffer_size`: a longer request body goes to a temporary file.
    pub body_in_memory: usize,
    /// `silverback_held_bodies`: what bodies that are held for plugins take together; 0 is no limit.
    pub held_bodies: u64,
    /// `client_header_timeout`: from the first byte of a head to its last.
    pub header_timeout: Duration,
    /// `client_body_timeout`: between two reads of a body.
    pub body_timeout: Duration,
    /// `send_timeout`: between two writes to a client that take a byte.
    pub send_timeout: Duration,
    /// `keepalive_timeout`: a client connection without a request.
    pub keepalive_timeout: Duration,
    /// `keepalive_requests`: requests that one client connection may carry.
    pub keepalive_requests: u64,
    /// `http2_max_concurrent_streams`.
    pub http2_streams: u32,
    /// How long a connection without a request is kept by a worker that drains.
    pub quit_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_line: 8 << 10,
            head: 32 << 10,
            header_count: 1000,
            body: 0,
            body_in_memory: 64 << 10,
            held_bodies: 256 << 20,
            header_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(60),
            keepalive_timeout: Duration::from_secs(75),
            keepalive_requests: 10_000,
            http2_streams: 128,
            quit_grace: Duration::from_secs(2),
        }
    }
}
