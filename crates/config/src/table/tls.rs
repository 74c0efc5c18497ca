//! Certificates, keys and what TLS may negotiate.

use crate::declaration::Declaration as D;
use crate::declaration::Group;
use crate::declaration::Kind::{Boolean, Choice, Duration, Integer, List, Size, Switch, Text};

const GENERATED: &str = "a certificate that the node makes for itself under `<prefix>/ssl`";

pub(super) const TLS: Group = Group {
    title: "TLS",
    settings: &[
        D::new("ssl_cipher_suite", Choice(&["modern", "intermediate", "old", "fips", "custom"]), "intermediate", "Which protocol versions and ciphers `ssl` listeners offer. `modern` is TLS 1.3 only. `old` offers what `intermediate` does: ciphers and versions that it adds are broken and do not exist here. `custom` takes `ssl_ciphers` and `ssl_protocols`."),
        D::new("ssl_ciphers", Text, "", "OpenSSL names of ciphers, separated by colons, for `ssl_cipher_suite = custom`. Names of ciphers that do not exist here are left out."),
        D::new("ssl_protocols", Text, "TLSv1.2 TLSv1.3", "Protocol versions for `ssl_cipher_suite = custom`.")
            .feeds(&["nginx_http_ssl_protocols", "nginx_stream_ssl_protocols"]),
        D::new("ssl_prefer_server_ciphers", Switch, "on", "Whether the node's order of ciphers counts, for `ssl_cipher_suite = custom`.")
            .feeds(&["nginx_http_ssl_prefer_server_ciphers", "nginx_stream_ssl_prefer_server_ciphers"]),
        D::new("ssl_dhparam", Text, "", "Parameters for DHE ciphers.")
            .feeds(&["nginx_http_ssl_dhparam", "nginx_stream_ssl_dhparam"])
            .nothing("DHE ciphers are not offered; ECDHE ones need no parameters"),
        D::new("ssl_session_tickets", Switch, "on", "Whether clients may resume a session with a ticket.")
            .feeds(&["nginx_http_ssl_session_tickets", "nginx_stream_ssl_session_tickets"]),
        D::new("ssl_session_timeout", Duration, "1d", "How long a session can be resumed; at most twelve hours with a ticket.")
            .feeds(&["nginx_http_ssl_session_timeout", "nginx_stream_ssl_session_timeout"]),
        D::new("ssl_session_cache_size", Size, "10m", "Memory for sessions that can be resumed without a ticket; 1 MiB is room for about 4000."),
        D::new("ssl_cert", List, "", "Certificates of `proxy_listen`, for clients whose SNI has none of its own: paths, PEM, or PEM in base64; for example one RSA and one ECDSA.")
            .unset_means(GENERATED),
        D::new("ssl_cert_key", List, "", "The keys of `ssl_cert`, in the same order.").secret().unset_means(GENERATED),
        D::new("admin_ssl_cert", List, "", "Certificates of `admin_listen`.").unset_means(GENERATED),
        D::new("admin_ssl_cert_key", List, "", "The keys of `admin_ssl_cert`.").secret().unset_means(GENERATED),
        D::new("status_ssl_cert", List, "", "Certificates of `status_listen`.").unset_means(GENERATED),
        D::new("status_ssl_cert_key", List, "", "The keys of `status_ssl_cert`.").secret().unset_means(GENERATED),
        D::new("debug_ssl_cert", List, "", "Certificates of Kong's debug listener.").nothing("there is no debug listener"),
        D::new("debug_ssl_cert_key", List, "", "The keys of `debug_ssl_cert`.").secret().nothing("there is no debug listener"),
        D::new("client_ssl", Boolean, "off", "Whether the node shows upstreams a certificate when the service names none."),
        D::new("client_ssl_cert", Text, "", "That certificate: a path, PEM, or PEM in base64."),
        D::new("client_ssl_cert_key", Text, "", "Its key.").secret(),
        D::new("lua_ssl_trusted_certificate", List, "system", "Authorities that upstream certificates are checked against: paths, PEM, PEM in base64, or `system`."),
        D::new("lua_ssl_verify_depth", Integer(0, i64::MAX), "1", "How many intermediate certificates may stand between an upstream and its authority, unless the service says."),
        D::new("lua_ssl_protocols", Text, "TLSv1.2 TLSv1.3", "Protocol versions of Kong's own outgoing connections.")
            .feeds(&["nginx_http_lua_ssl_protocols", "nginx_stream_lua_ssl_protocols"])
            .nothing("outgoing connections offer TLS 1.2 and 1.3"),
    ],
};
