//! Which headers the node adds to answers, from the setting `headers`.

/// What `headers` accepts.
pub(crate) const RESPONSE: &[&str] = &[
    "off",
    "server_tokens",
    "latency_tokens",
    "Via",
    "Server",
    "X-Kong-Proxy-Latency",
    "X-Kong-Response-Latency",
    "X-Kong-Admin-Latency",
    "X-Kong-Upstream-Latency",
    "X-Kong-Upstream-Status",
    "X-Kong-Request-Id",
];

/// What `headers_upstream` accepts.
pub(crate) const UPSTREAM: &[&str] = &["off", "X-Kong-Request-Id"];

/// The headers that answers carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one header")]
pub struct ResponseHeaders {
    pub server_tokens: bool,
    pub latency_tokens: bool,
    pub via: bool,
    pub server: bool,
    pub proxy_latency: bool,
    pub response_latency: bool,
    pub admin_latency: bool,
    pub upstream_latency: bool,
    pub upstream_status: bool,
    pub request_id: bool,
}

impl ResponseHeaders {
    /// From the setting's words; `off` first turns all off.
    pub(crate) fn from_words(words: &[String]) -> Self {
        let off = words
            .first()
            .is_some_and(|word| word.eq_ignore_ascii_case("off"));
        let has = |name: &str| !off && words.iter().any(|word| word.eq_ignore_ascii_case(name));
        let server_tokens = has("server_tokens");
        let latency_tokens = has("latency_tokens");
        Self {
            server_tokens,
            latency_tokens,
            via: server_tokens || has("Via"),
            server: server_tokens || has("Server"),
            proxy_latency: latency_tokens || has("X-Kong-Proxy-Latency"),
            response_latency: latency_tokens || has("X-Kong-Response-Latency"),
            admin_latency: latency_tokens || has("X-Kong-Admin-Latency"),
            upstream_latency: latency_tokens || has("X-Kong-Upstream-Latency"),
            upstream_status: has("X-Kong-Upstream-Status"),
            request_id: has("X-Kong-Request-Id"),
        }
    }

    /// Each name with whether it is on.
    pub(crate) fn entries(&self) -> [(&'static str, bool); 10] {
        [
            ("server_tokens", self.server_tokens),
            ("latency_tokens", self.latency_tokens),
            ("Via", self.via),
            ("Server", self.server),
            ("X-Kong-Proxy-Latency", self.proxy_latency),
            ("X-Kong-Response-Latency", self.response_latency),
            ("X-Kong-Admin-Latency", self.admin_latency),
            ("X-Kong-Upstream-Latency", self.upstream_latency),
            ("X-Kong-Upstream-Status", self.upstream_status),
            ("X-Kong-Request-Id", self.request_id),
        ]
    }
}
