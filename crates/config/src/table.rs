//! Every setting, by topic.

mod cluster;
mod engine;
mod general;
mod listening;
mod naming;
mod nginx;
mod store;
mod tls;

use crate::declaration::{Declaration, Group};

/// The topics in the order of the reference page.
pub fn groups() -> &'static [Group] {
    &[
        general::GENERAL,
        general::LOGS,
        listening::LISTENERS,
        listening::TRAFFIC,
        tls::TLS,
        store::STORE,
        store::POSTGRES,
        store::CACHING,
        naming::DNS,
        nginx::DIRECTIVES,
        cluster::HYBRID,
        cluster::OBSERVABILITY,
        engine::LUA,
        engine::WASM,
        engine::MANAGER,
    ]
}

/// The declaration of a name; none for unknown names and for directives without a row of their own.
pub fn find(name: &str) -> Option<&'static Declaration> {
    groups()
        .iter()
        .flat_map(|group| group.settings)
        .find(|setting| setting.name == name)
}

/// Families of names that take any ending: the nginx block or program that they configure.
pub(crate) const FAMILIES: [&str; 18] = [
    "nginx_main_",
    "nginx_events_",
    "nginx_http_",
    "nginx_upstream_",
    "nginx_proxy_",
    "nginx_location_",
    "nginx_status_",
    "nginx_admin_",
    "nginx_stream_",
    "nginx_supstream_",
    "nginx_sproxy_",
    "pluginserver_",
    "vault_",
    "nginx_wasm_wasmtime_",
    "nginx_wasm_v8_",
    "nginx_wasm_wasmer_",
    "nginx_wasm_shm_kv_",
    "nginx_wasm_",
];

/// The family of a name, if it is in one and is more than the family's prefix.
pub(crate) fn family(name: &str) -> Option<&'static str> {
    FAMILIES
        .into_iter()
        .find(|prefix| name.len() > prefix.len() && name.starts_with(prefix))
}

/// Why a name in a family does nothing.
pub(crate) fn family_reason(family: &str) -> &'static str {
    match family {
        "pluginserver_" => "external plugin servers are not supported",
        "vault_" => "only the vault `env` exists",
        family if family.starts_with("nginx_wasm_") => engine::NO_WASM,
        _ => "there is no nginx to hand this directive to",
    }
}
