//! From settings to what the other parts want to be told.

use std::net::ToSocketAddrs;
use std::path::Path;

use config::{Address, Dns, Keepalive, Listener, RecordType, Settings, Tls, Value};
use net::dns::{DnsSettings, RecordKind};
use net::listen::{KeepAlive, ListenAddress, ListenSpec};
use net::tls::{CipherSuite, ClientIdentity, ServerTlsSettings, TrustStore};
use plugin_api::{LuaMode, Spans, UntrustedLua};
use proxy::media::Media;
use proxy::settings::{
    DataPlaneSettings, ErrorTemplates, Limits, RealIpHeader, ResponseHeaders, UpstreamKeepalive,
};
use router::Flavor;
use stdx::Clock;

use crate::Error;
use crate::certificates::{self, Owner};

/// The sockets of a listener setting; host names are resolved now.
pub fn listen_specs(
    setting: &'static str,
    listeners: &[Listener],
    prefix: &Path,
) -> Result<Vec<ListenSpec>, Error> {
    // Compat: nginx switches HTTP/2 for a whole server, so one `http2` counts for all of its addresses.
    let http2 = listeners.iter().any(|listener| listener.http2);
    let mut specs = Vec::new();
    for listener in listeners {
        for address in addresses(setting, &listener.address, prefix)? {
            specs.push(ListenSpec {
                address,
                ssl: listener.ssl,
                http2,
                proxy_protocol: listener.proxy_protocol,
                reuseport: listener.reuseport,
                backlog: listener.backlog,
                deferred: listener.deferred,
                keepalive: listener.so_keepalive.map(keepalive),
                bind: listener.bind,
                ipv6only: listener.ipv6only,
            });
        }
    }
    Ok(specs)
}

fn addresses(
    setting: &'static str,
    address: &Address,
    prefix: &Path,
) -> Result<Vec<ListenAddress>, Error> {
    match address {
        Address::Ip(address) => Ok(vec![ListenAddress::Tcp(*address)]),
        Address::Unix(path) => Ok(vec![ListenAddress::Unix(prefix.join(path))]),
        Address::Name(host, port) => {
            let failed = |reason: String| Error::Resolve {
                setting,
                host: host.clone(),
                reason,
            };
            let found = (host.as_str(), *port)
                .to_socket_addrs()
                .map_err(|error| failed(error.to_string()))?;
            let found: Vec<_> = found.map(ListenAddress::Tcp).collect();
            if found.is_empty() {
                return Err(failed("it has no address".to_owned()));
            }
            Ok(found)
        }
    }
}

fn keepalive(keepalive: Keepalive) -> KeepAlive {
    match keepalive {
        Keepalive::On => KeepAlive::On,
        Keepalive::Off => KeepAlive::Off,
        Keepalive::Tuned {
            idle,
            interval,
            count,
        } => KeepAlive::Timing {
            idle,
            interval,
            count,
        },
    }
}

/// What TLS listeners negotiate.
pub fn server_tls(tls: &Tls) -> ServerTlsSettings {
    ServerTlsSettings {
        protocols: tls.protocols.clone(),
        cipher_suite: match tls.cipher_suite.as_str() {
            "modern" => CipherSuite::Modern,
            "old" => CipherSuite::Old,
            "fips" => CipherSuite::Fips,
            "custom" => CipherSuite::Custom(tls.ciphers.clone()),
            _ => CipherSuite::Intermediate,
        },
        prefer_server_ciphers: tls.prefer_server_ciphers,
        session_tickets: tls.session_tickets,
        session_timeout: tls.session_timeout,
        session_cache_bytes: tls.session_cache,
    }
}

/// The authorities that upstream certificates are checked against; none if there are none.
pub fn trusted_roots(tls: &Tls) -> Result<Option<TrustStore>, Error> {
    let mut texts = Vec::new();
    for source in &tls.trusted {
        let text = source.load();
        let text = text
            .map_err(|error| Error::Certificate(format!("lua_ssl_trusted_certificate: {error}")))?;
        texts.push(text);
    }
    let configured = match texts.as_slice() {
        [] => None,
        texts => Some(
            TrustStore::from_pem(texts.iter().map(stdx::Secret::expose)).map_err(|error| {
                let places = certificates::places(&tls.trusted);
                Error::Certificate(format!("lua_ssl_trusted_certificate ({places}): {error}"))
            })?,
        ),
    };
    if !tls.trust_system {
        return Ok(configured);
    }
    match (TrustStore::system(), configured) {
        (Ok(system), Some(configured)) => Ok(Some(system.union(&configured))),
        (Ok(system), None) => Ok(Some(system)),
        (Err(error), configured) => {
            tracing::warn!("no system certificates: {error}");
            Ok(configured)
        }
    }
}

/// What upstreams are shown if their service names no certificate.
pub fn client_identity(tls: &Tls) -> Result<Option<ClientIdentity>, Error> {
    let Some(pair) = &tls.client else {
        return Ok(None);
    };
    let (certificate, key) = certificates::load(pair)?;
    let identity = ClientIdentity::from_pem(&certificate, &key).map_err(|error| {
        let places = certificates::places([&pair.certificate, &pair.key]);
        Error::Certificate(format!(
            "client_ssl_cert and client_ssl_cert_key ({places}): {error}"
        ))
    })?;
    Ok(Some(identity))
}

/// How names are resolved.
pub fn dns(dns: &Dns) -> DnsSettings {
    DnsSettings {
        servers: dns.servers.clone(),
        resolv_conf: "/etc/resolv.conf".into(),
        hosts_file: dns.hosts_file.clone(),
        order: dns
            .order
            .iter()
            .map(|kind| match kind {
                RecordType::Last => RecordKind::Last,
                RecordType::Srv => RecordKind::Srv,
                RecordType::A => RecordKind::A,
                RecordType::Aaaa => RecordKind::Aaaa,
                RecordType::Cname => RecordKind::Cname,
            })
            .collect(),
        valid_ttl: dns.valid_ttl,
        stale_ttl: dns.stale_ttl,
        cache_size: dns.cache_size,
        not_found_ttl: dns.not_found_ttl,
        error_ttl: dns.error_ttl,
        no_sync: dns.no_sync,
    }
}

/// How many workers serve traffic.
pub fn worker_count(settings: &Settings) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    settings.workers.unwrap_or_else(cores)
}

/// The router's name for the setting `router_flavor`.
pub fn flavor(settings: &Settings) -> Flavor {
    match settings.router_flavor.as_str() {
        "traditional" => Flavor::Traditional,
        "expressions" => Flavor::Expressions,
        _ => Flavor::TraditionalCompatible,
    }
}

/// What the workers are told.
pub fn data_plane(settings: &Settings, clock: &dyn Clock) -> Result<DataPlaneSettings, Error> {
    let tls = &settings.tls;
    let has_tls = settings.listeners.proxy.iter().any(|listener| listener.ssl);
    let default_identity = if has_tls {
        Some(certificates::identity(
            Owner::Proxy,
            &tls.proxy,
            &settings.prefix,
            clock,
        )?)
    } else {
        None
    };
    let keepalive = &settings.upstream_keepalive;
    let templates = &settings.error_templates;
    Ok(DataPlaneSettings {
        headers: response_headers(&settings.headers),
        upstream_request_id: settings.headers_upstream_request_id,
        trusted_ips: settings.trusted_ips.clone(),
        trust_unix: settings.trust_unix,
        debug_header: settings.allow_debug_header,
        real_ip_header: match settings.real_ip.header.as_str() {
            "proxy_protocol" => RealIpHeader::ProxyProtocol,
            name => RealIpHeader::Named(name.to_owned()),
        },
        real_ip_recursive: settings.real_ip.recursive,
        error_default_type: Media::named(&settings.error_default_type).unwrap_or(Media::Plain),
        error_templates: ErrorTemplates {
            html: templates.html.clone(),
            json: templates.json.clone(),
            xml: templates.xml.clone(),
            plain: templates.plain.clone(),
        },
        upstream_keepalive: UpstreamKeepalive {
            pool_size: keepalive.pool_size,
            max_requests: keepalive.max_requests,
            idle_timeout: keepalive.idle_timeout,
        },
        port_maps: settings
            .port_maps
            .iter()
            .map(|(inside, outside)| (*inside, *outside))
            .collect(),
        limits: data_plane_limits(&settings.limits),
        charset: settings.charset.clone().unwrap_or_default(),
        default_identity,
        client_identity: client_identity(tls)?,
        trust: trusted_roots(tls)?,
        upstream_tls_verify_depth: Some(tls.verify_depth),
        ..DataPlaneSettings::default()
    })
}

fn response_headers(headers: &config::ResponseHeaders) -> ResponseHeaders {
    ResponseHeaders {
        server: headers.server,
        via: headers.via,
        proxy_latency: headers.proxy_latency,
        upstream_latency: headers.upstream_latency,
        response_latency: headers.response_latency,
        upstream_status: headers.upstream_status,
        request_id: headers.request_id,
    }
}

fn data_plane_limits(limits: &config::Limits) -> Limits {
    Limits {
        header_line: limits.header_line,
        head: limits.head,
        body: limits.body,
        body_in_memory: limits.body_in_memory,
        held_bodies: limits.held_bodies,
        header_timeout: limits.header_timeout,
        body_timeout: limits.body_timeout,
        send_timeout: limits.send_timeout,
        keepalive_timeout: limits.keepalive_timeout,
        keepalive_requests: limits.keepalive_requests,
        quit_grace: limits.quit_grace,
        ..Limits::default()
    }
}

/// What Lua code in configuration may do.
pub fn untrusted_lua(settings: &Settings) -> UntrustedLua {
    let names = |setting: &str| match settings.get(setting) {
        Some(Value::List(names)) => names.iter().map(|name| name.as_str().into()).collect(),
        _ => Vec::new(),
    };
    UntrustedLua {
        mode: match settings.get("untrusted_lua").and_then(Value::text) {
            Some("off") => LuaMode::Off,
            Some("on") => LuaMode::On,
            _ => LuaMode::Sandbox,
        },
        requires: names("untrusted_lua_sandbox_requires"),
        environment: names("untrusted_lua_sandbox_environment"),
    }
}

/// Which spans are made of requests.
pub fn spans(settings: &Settings) -> Spans {
    let named: &[String] = match settings.get("tracing_instrumentations") {
        Some(Value::List(named)) => named,
        _ => &[],
    };
    let has = |name: &str| named.iter().any(|named| named == name || named == "all");
    Spans {
        // Compat: whatever is named, requests have spans, because the others are parts of these.
        request: !named.is_empty() && !named.iter().any(|name| name == "off"),
        balancer: has("balancer"),
        plugin_rewrite: has("plugin_rewrite"),
        plugin_access: has("plugin_access"),
        plugin_header_filter: has("plugin_header_filter"),
        sampling_rate: match settings.get("tracing_sampling_rate") {
            Some(Value::Number(rate)) => *rate,
            _ => 0.0,
        },
    }
}

/// What `tracing_instrumentations` asks for, by its name or by `all`, and nothing is recorded of.
pub fn parts_without_spans(settings: &Settings) -> Vec<&'static str> {
    const NONE: [&str; 5] = [
        "db_query",
        "dns_query",
        "router",
        "http_client",
        "plugin_certificate",
    ];
    let Some(Value::List(named)) = settings.get("tracing_instrumentations") else {
        return Vec::new();
    };
    let asked_for = |part: &&str| named.iter().any(|name| name == part || name == "all");
    NONE.into_iter().filter(asked_for).collect()
}

#[cfg(test)]
mod tests;
