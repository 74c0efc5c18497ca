//! nginx directives that settings inject. Those that mean something here have a row; the rest of each family is
//! accepted and named in a warning.

use crate::declaration::Declaration as D;
use crate::declaration::Group;
use crate::declaration::Kind::{Duration, Integer, Size, Switch, Text};

const NO_NGINX: &str = "there is no nginx to hand this directive to";
const LIKE_SSL: &str = "Compatible with Kong; the setting without `nginx_http_` is clearer.";
const NO_STREAM: &str = "TCP, TLS and UDP proxying is not supported";

pub(super) const DIRECTIVES: Group = Group {
    title: "nginx directives",
    settings: &[
        D::new("nginx_main_worker_processes", Text, "auto", "The same as `nginx_worker_processes`."),
        D::new("nginx_main_daemon", Switch, "on", "The same as `nginx_daemon`."),
        D::new("nginx_main_user", Text, "", "The same as `nginx_user`.").nothing("the node runs as the user that starts it and never changes it"),
        D::new("nginx_main_worker_rlimit_nofile", Text, "auto", "The limit of open files: a number, or `auto` for the most that the system allows."),
        D::new("nginx_events_worker_connections", Text, "auto", "Connections that a worker holds.")
            .nothing("the limit of open files is the limit of connections"),
        D::new("nginx_events_multi_accept", Switch, "on", "Whether a worker accepts all waiting connections at once.").nothing(NO_NGINX),
        D::new("nginx_http_client_header_buffer_size", Size, "", "The buffer that a request head begins with.")
            .unset_means("1k")
            .nothing("the buffer grows as needed up to `nginx_http_large_client_header_buffers`"),
        D::new("nginx_http_large_client_header_buffers", Text, "", "Number and size of buffers for request heads: a request line or a header may be as long as one buffer, a head as long as all.")
            .unset_means("4 8k"),
        D::new("nginx_http_client_max_body_size", Size, "0", "The largest request body; 0 for no limit. A larger one is answered 413."),
        D::new("nginx_http_client_body_buffer_size", Size, "8k", "How much of a request body is held in memory when it is buffered, and 64 KiB at least; a longer one goes to a temporary file."),
        D::new("nginx_http_client_header_timeout", Duration, "", "How long a client may take to send a request head.").unset_means("60s"),
        D::new("nginx_http_client_body_timeout", Duration, "", "How long a client may pause while it sends a body.").unset_means("60s"),
        D::new("nginx_http_send_timeout", Duration, "", "How long a client may pause while it takes an answer.").unset_means("60s"),
        D::new("nginx_http_keepalive_timeout", Duration, "", "How long an idle client connection stays open.").unset_means("75s"),
        D::new("nginx_http_keepalive_requests", Integer(0, i64::MAX), "10000", "Requests after which a client connection is closed."),
        D::new("nginx_http_charset", Text, "UTF-8", "The charset that is added to textual content types that name none; `off` adds none."),
        D::new("nginx_http_ssl_protocols", Text, "", LIKE_SSL),
        D::new("nginx_http_ssl_prefer_server_ciphers", Switch, "", LIKE_SSL),
        D::new("nginx_http_ssl_dhparam", Text, "", LIKE_SSL).nothing("DHE ciphers are not offered; ECDHE ones need no parameters"),
        D::new("nginx_http_ssl_session_tickets", Switch, "", LIKE_SSL),
        D::new("nginx_http_ssl_session_timeout", Duration, "", LIKE_SSL),
        D::new("nginx_http_lua_ssl_protocols", Text, "", "The same as `lua_ssl_protocols`.").nothing("outgoing connections offer TLS 1.2 and 1.3"),
        D::new("nginx_http_lua_regex_match_limit", Integer(0, i64::MAX), "100000", "Steps after which Kong gives up on a regular expression.")
            .nothing("matching takes linear time, so it needs no limit"),
        D::new("nginx_http_lua_regex_cache_max_entries", Integer(0, i64::MAX), "8192", "Compiled regular expressions that Kong keeps.")
            .nothing("regular expressions are compiled when the configuration changes"),
        D::new("nginx_stream_ssl_protocols", Text, "", "For stream listeners.").nothing(NO_STREAM),
        D::new("nginx_stream_ssl_prefer_server_ciphers", Switch, "", "For stream listeners.").nothing(NO_STREAM),
        D::new("nginx_stream_ssl_dhparam", Text, "", "For stream listeners.").nothing(NO_STREAM),
        D::new("nginx_stream_ssl_session_tickets", Switch, "", "For stream listeners.").nothing(NO_STREAM),
        D::new("nginx_stream_ssl_session_timeout", Duration, "", "For stream listeners.").nothing(NO_STREAM),
        D::new("nginx_stream_lua_ssl_protocols", Text, "", "For stream listeners.").nothing(NO_STREAM),
        D::new("nginx_proxy_real_ip_header", Text, "X-Real-IP", "The same as `real_ip_header`."),
        D::new("nginx_proxy_real_ip_recursive", Switch, "off", "The same as `real_ip_recursive`."),
        D::new("nginx_admin_client_max_body_size", Size, "10m", "The largest body that the Admin API takes."),
        D::new("nginx_admin_client_body_buffer_size", Size, "10m", "How much of an Admin API body nginx holds in memory.")
            .nothing("an Admin API body is always held in memory, up to `nginx_admin_client_max_body_size`"),
    ],
};
