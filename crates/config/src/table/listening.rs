//! Addresses to listen on, and what happens to the traffic that comes in.

use crate::declaration::Declaration as D;
use crate::declaration::Group;
use crate::declaration::Kind::{
    Boolean, Choice, Integer, List, ListOf, Listeners, Number, Path, Switch, Text,
};
use crate::headers;

const FLAGS: &str = "Flags after an address: `ssl`, `http2`, `proxy_protocol`, `reuseport`, `backlog=N`, `deferred`, `bind`, \
     `ipv6only=on|off`, `so_keepalive=on|off|idle:interval:count`; an address may be `unix:/path`.";

pub(super) const LISTENERS: Group = Group {
    title: "Listeners",
    settings: &[
        D::new(
            "proxy_listen",
            Listeners,
            "0.0.0.0:8000 reuseport backlog=16384, 0.0.0.0:8443 http2 ssl reuseport backlog=16384",
            "Where clients connect.",
        )
        .unset_means(FLAGS),
        D::new(
            "admin_listen",
            Listeners,
            "127.0.0.1:8001 reuseport backlog=16384, 127.0.0.1:8444 http2 ssl reuseport backlog=16384",
            "Where the Admin API answers. Whoever reaches it controls the gateway.",
        ),
        D::new(
            "status_listen",
            Listeners,
            "127.0.0.1:8007 reuseport backlog=16384",
            "Where the Status API answers: health, readiness, metrics.",
        ),
        D::new(
            "stream_listen",
            Listeners,
            "off",
            "Where TCP, TLS and UDP traffic without HTTP comes in.",
        )
        .nothing("TCP, TLS and UDP proxying is not supported"),
        D::new(
            "cluster_listen",
            Listeners,
            "0.0.0.0:8005",
            "Where Kong's data planes connect to a control plane.",
        )
        .nothing("there is no hybrid mode"),
        D::new(
            "admin_gui_listen",
            Listeners,
            "off",
            "Where Kong Manager is served.",
        )
        .nothing("Kong Manager is not part of Silverback"),
    ],
};

pub(super) const TRAFFIC: Group = Group {
    title: "Traffic",
    settings: &[
        D::new("headers", ListOf(headers::RESPONSE), "server_tokens, latency_tokens, x-kong-request-id", "Headers that the node adds to answers. `server_tokens` is `Via` and `Server`; `latency_tokens` is the four latency headers."),
        D::new("headers_upstream", ListOf(headers::UPSTREAM), "x-kong-request-id", "Headers that the node adds to requests to upstreams."),
        D::new("trusted_ips", List, "", "Addresses and blocks whose forwarding headers are believed: `10.0.0.0/8`, `::1`, or `unix:` for unix sockets."),
        D::new("real_ip_header", Text, "X-Real-IP", "The header that has the client's address, when the peer is trusted; `proxy_protocol` takes it from the PROXY protocol header.")
            .feeds(&["nginx_proxy_real_ip_header"]),
        D::new("real_ip_recursive", Switch, "off", "Whether trusted addresses at the end of the header's list are skipped.")
            .feeds(&["nginx_proxy_real_ip_recursive"]),
        D::new("error_default_type", Choice(&["application/json", "application/xml", "text/html", "text/plain"]), "text/plain", "The form of the node's own errors for a request without `Accept`."),
        D::new("error_template_html", Path, "", "A file that shapes HTML errors; `%s` stands for the message and for the request id."),
        D::new("error_template_json", Path, "", "A file that shapes JSON errors."),
        D::new("error_template_xml", Path, "", "A file that shapes XML errors."),
        D::new("error_template_plain", Path, "", "A file that shapes plain text errors."),
        D::new("allow_debug_header", Boolean, "off", "Whether a request with `Kong-Debug: 1` is told the route and service that took it."),
        D::new("upstream_keepalive_pool_size", Integer(0, i64::MAX), "512", "Idle connections that a worker keeps for one upstream address; 0 keeps none."),
        D::new("upstream_keepalive_max_requests", Integer(0, i64::MAX), "10000", "Requests after which an upstream connection is closed; 0 for no limit."),
        D::new("upstream_keepalive_idle_timeout", Number(0.0, f64::INFINITY), "60", "Seconds after which an idle upstream connection is closed; 0 for never."),
        D::new("client_body_buffer_size", crate::Kind::Size, "8k", "How much of a request body nginx holds in memory.")
            .nothing("the node acts on `nginx_http_client_body_buffer_size`"),
    ],
};
