//! The `configuration` object of the Admin API's root page: Kong's names and shapes.

use serde_json::{Map, Value as Json, json};

use crate::check::list;
use crate::declaration::Kind;
use crate::listen::{self, Address, Listener};
use crate::settings::Settings;
use crate::table;
use crate::value::Value;

const MASK: &str = "******";

/// Kong's files under the prefix, by the names it shows them under.
const PATHS: [(&str, &str); 34] = [
    ("nginx_pid", "pids/nginx.pid"),
    ("nginx_err_logs", "logs/error.log"),
    ("nginx_acc_logs", "logs/access.log"),
    ("admin_acc_logs", "logs/admin_access.log"),
    ("nginx_conf", "nginx.conf"),
    ("nginx_kong_gui_include_conf", "nginx-kong-gui-include.conf"),
    ("nginx_kong_conf", "nginx-kong.conf"),
    ("nginx_kong_stream_conf", "nginx-kong-stream.conf"),
    ("nginx_inject_conf", "nginx-inject.conf"),
    ("nginx_kong_inject_conf", "nginx-kong-inject.conf"),
    (
        "nginx_kong_stream_inject_conf",
        "nginx-kong-stream-inject.conf",
    ),
    ("kong_env", ".kong_env"),
    ("kong_process_secrets", ".kong_process_secrets"),
    ("ssl_cert_csr_default", "ssl/kong-default.csr"),
    ("ssl_cert_default", "ssl/kong-default.crt"),
    ("ssl_cert_key_default", "ssl/kong-default.key"),
    ("ssl_cert_default_ecdsa", "ssl/kong-default-ecdsa.crt"),
    ("ssl_cert_key_default_ecdsa", "ssl/kong-default-ecdsa.key"),
    ("client_ssl_cert_default", "ssl/kong-default.crt"),
    ("client_ssl_cert_key_default", "ssl/kong-default.key"),
    ("admin_ssl_cert_default", "ssl/admin-kong-default.crt"),
    ("admin_ssl_cert_key_default", "ssl/admin-kong-default.key"),
    (
        "admin_ssl_cert_default_ecdsa",
        "ssl/admin-kong-default-ecdsa.crt",
    ),
    (
        "admin_ssl_cert_key_default_ecdsa",
        "ssl/admin-kong-default-ecdsa.key",
    ),
    (
        "admin_gui_ssl_cert_default",
        "ssl/admin-gui-kong-default.crt",
    ),
    (
        "admin_gui_ssl_cert_key_default",
        "ssl/admin-gui-kong-default.key",
    ),
    (
        "admin_gui_ssl_cert_default_ecdsa",
        "ssl/admin-gui-kong-default-ecdsa.crt",
    ),
    (
        "admin_gui_ssl_cert_key_default_ecdsa",
        "ssl/admin-gui-kong-default-ecdsa.key",
    ),
    ("status_ssl_cert_default", "ssl/status-kong-default.crt"),
    ("status_ssl_cert_key_default", "ssl/status-kong-default.key"),
    (
        "status_ssl_cert_default_ecdsa",
        "ssl/status-kong-default-ecdsa.crt",
    ),
    (
        "status_ssl_cert_key_default_ecdsa",
        "ssl/status-kong-default-ecdsa.key",
    ),
    ("socket_path", "sockets"),
    ("lua_ssl_trusted_certificate_combined", ".ca_combined"),
];

/// Names of sockets between Kong's processes.
const SOCKETS: [(&str, &str); 7] = [
    ("worker_events_sock", "we"),
    ("stream_worker_events_sock", "sw"),
    ("stream_rpc_sock", "rp"),
    ("stream_config_sock", "sc"),
    ("stream_tls_passthrough_sock", "sp"),
    ("stream_tls_terminate_sock", "st"),
    ("cluster_proxy_ssl_terminator_sock", "cp"),
];

/// nginx blocks whose directives are listed.
const BLOCKS: [(&str, &str); 16] = [
    ("nginx_main_directives", "nginx_main_"),
    ("nginx_events_directives", "nginx_events_"),
    ("nginx_http_directives", "nginx_http_"),
    ("nginx_upstream_directives", "nginx_upstream_"),
    ("nginx_proxy_directives", "nginx_proxy_"),
    ("nginx_location_directives", "nginx_location_"),
    ("nginx_status_directives", "nginx_status_"),
    ("nginx_admin_directives", "nginx_admin_"),
    ("nginx_stream_directives", "nginx_stream_"),
    ("nginx_supstream_directives", "nginx_supstream_"),
    ("nginx_sproxy_directives", "nginx_sproxy_"),
    ("nginx_wasm_wasmtime_directives", "nginx_wasm_wasmtime_"),
    ("nginx_wasm_v8_directives", "nginx_wasm_v8_"),
    ("nginx_wasm_wasmer_directives", "nginx_wasm_wasmer_"),
    ("nginx_wasm_main_shm_kv_directives", "nginx_wasm_shm_kv_"),
    ("nginx_wasm_main_directives", "nginx_wasm_"),
];

impl Settings {
    /// Every setting as Kong's Admin API shows it: booleans and numbers as such, lists (an empty one as `{}`), parsed
    /// listeners beside them, secrets as `******`, references to
    /// secrets as they were given.
    pub fn configuration_json(&self) -> Map<String, Json> {
        let mut shown = Map::new();
        for (name, value) in self.values() {
            let secret = table::find(name).is_some_and(|setting| setting.secret);
            let value = match self.references.get(name) {
                _ if secret => Json::from(MASK),
                Some(reference) => Json::from(reference.as_str()),
                None => to_json(value),
            };
            shown.insert(name.clone(), value);
        }
        // Compat: Kong shows a switch that nobody set as off.
        for setting in table::groups().iter().flat_map(|group| group.settings) {
            if setting.kind == Kind::Boolean && setting.replaced_by.is_none() {
                shown.entry(setting.name).or_insert(json!(false));
            }
        }
        self.add_places(&mut shown);
        self.add_listeners(&mut shown);
        self.add_directives(&mut shown);
        self.add_meanings(&mut shown);
        shown
    }

    fn add_places(&self, shown: &mut Map<String, Json>) {
        for (name, path) in PATHS {
            shown.insert(
                name.to_owned(),
                json!(self.prefix.join(path).to_string_lossy()),
            );
        }
        for (name, socket) in SOCKETS {
            shown.insert(name.to_owned(), json!(socket));
        }
        for prefix in ["", "admin_", "status_"] {
            let cert = format!("{prefix}ssl_cert");
            let file = prefix.replace('_', "-");
            let listens = match prefix {
                "" => &self.listeners.proxy,
                "admin_" => &self.listeners.admin,
                _ => &self.listeners.status,
            };
            let generated = list(self.values(), &cert).is_empty()
                && listens.iter().any(|listener| listener.ssl);
            if generated {
                let paths = ["", "-ecdsa"].map(|kind| {
                    let path = self
                        .prefix
                        .join(format!("ssl/{file}kong-default{kind}.crt"));
                    path.to_string_lossy().into_owned()
                });
                shown.insert(cert, json!(paths));
            }
        }
    }

    fn add_listeners(&self, shown: &mut Map<String, Json>) {
        let flags = [
            ("proxy_listen", "proxy_listeners", "proxy_ssl_enabled"),
            (
                "stream_listen",
                "stream_listeners",
                "stream_proxy_ssl_enabled",
            ),
            ("admin_listen", "admin_listeners", "admin_ssl_enabled"),
            (
                "admin_gui_listen",
                "admin_gui_listeners",
                "admin_gui_ssl_enabled",
            ),
            ("status_listen", "status_listeners", "status_ssl_enabled"),
            ("cluster_listen", "cluster_listeners", ""),
        ];
        for (name, plural, ssl_flag) in flags {
            let stream = name == "stream_listen";
            let listeners = listen::parse(list(self.values(), name), stream).unwrap_or_default();
            if !ssl_flag.is_empty() {
                shown.insert(
                    ssl_flag.to_owned(),
                    json!(listeners.iter().any(|listener| listener.ssl)),
                );
            }
            let listeners = listeners
                .iter()
                .map(|listener| listener_json(listener, stream));
            shown.insert(plural.to_owned(), list_json(listeners.collect()));
        }
    }

    fn add_directives(&self, shown: &mut Map<String, Json>) {
        let mut taken: Vec<&str> = Vec::new();
        for (title, prefix) in BLOCKS {
            let mut directives = Vec::new();
            for (name, value) in self.values() {
                let Some(directive) = name.strip_prefix(prefix) else {
                    continue;
                };
                if directive == "lua_ssl_protocols" || taken.contains(&name.as_str()) {
                    continue;
                }
                taken.push(name);
                let mut value = self.plain(name, value);
                if directive == "ssl_dhparam" && value.starts_with("ffdhe") {
                    let file = self.prefix.join(format!("ssl/{value}.pem"));
                    value = file.to_string_lossy().into_owned();
                }
                directives.push((directive.to_owned(), value));
            }
            match title {
                "nginx_http_directives" => {
                    directives.push((
                        "lua_shared_dict".to_owned(),
                        "prometheus_metrics 5m".to_owned(),
                    ));
                }
                "nginx_stream_directives" => {
                    directives.push((
                        "lua_shared_dict".to_owned(),
                        "stream_prometheus_metrics 5m".to_owned(),
                    ));
                }
                _ => {}
            }
            directives.sort();
            let directives = directives
                .into_iter()
                .map(|(name, value)| json!({"name": name, "value": value}));
            shown.insert(title.to_owned(), list_json(directives.collect()));
        }
    }

    /// nginx's own spelling of a value.
    fn plain(&self, name: &str, value: &Value) -> String {
        match (self.references.get(name), value) {
            (Some(reference), _) => reference.clone(),
            (None, Value::List(items)) => items.join(" "),
            (None, other) => other.written(),
        }
    }

    fn add_meanings(&self, shown: &mut Map<String, Json>) {
        // nginx directives are texts, whatever their values look like.
        for (name, value) in self.values() {
            if table::family(name).is_some_and(|family| family.starts_with("nginx_")) {
                shown.insert(name.clone(), json!(self.plain(name, value)));
            }
        }
        let enabled: Map<String, Json> = self
            .headers
            .entries()
            .into_iter()
            .map(|(name, on)| (name.to_owned(), json!(on)))
            .collect();
        shown.insert("enabled_headers".to_owned(), Json::Object(enabled));
        let upstream = json!({"X-Kong-Request-Id": self.headers_upstream_request_id});
        shown.insert("enabled_headers_upstream".to_owned(), upstream);
        let ports = self
            .port_maps
            .iter()
            .map(|(inside, outside)| (inside.to_string(), json!(outside)));
        shown.insert("host_ports".to_owned(), Json::Object(ports.collect()));
        let mut vaults = Map::new();
        for vault in &self.vaults {
            let name = if vault == "bundled" { "env" } else { vault };
            vaults.insert(name.to_owned(), json!(true));
        }
        shown.insert("loaded_vaults".to_owned(), Json::Object(vaults));
        shown.insert("loaded_plugins".to_owned(), json!({}));
        shown.insert("pluginservers".to_owned(), json!({}));
        shown.insert("lmdb_validation_tag".to_owned(), json!("3.9"));
    }
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Bool(on) => json!(on),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked to be a whole number within 2^53"
        )]
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 9.0e15 => {
            json!(*number as i64)
        }
        Value::Number(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::List(items) => list_json(items.iter().map(|item| json!(item)).collect()),
    }
}

/// Compat: Kong's JSON encoder cannot tell an empty list from an empty object, and writes the latter.
fn list_json(items: Vec<Json>) -> Json {
    if items.is_empty() {
        json!({})
    } else {
        Json::Array(items)
    }
}

fn listener_json(listener: &Listener, stream: bool) -> Json {
    let (ip, port) = match &listener.address {
        Address::Ip(address) if address.is_ipv6() => {
            (format!("[{}]", address.ip()), Some(address.port()))
        }
        Address::Ip(address) => (address.ip().to_string(), Some(address.port())),
        Address::Name(host, port) => (host.clone(), Some(*port)),
        Address::Unix(path) => (format!("unix:{}", path.display()), None),
    };
    let flags = listener.flags(stream);
    let mut shown = Map::new();
    let simple = [
        "ssl",
        "proxy_protocol",
        "bind",
        "reuseport",
        "ipv6only=on",
        "ipv6only=off",
        "so_keepalive=on",
        "so_keepalive=off",
    ];
    let only: &[&str] = if stream { &["udp"] } else { &["deferred"] };
    for flag in simple.iter().chain(only) {
        shown.insert(
            (*flag).to_owned(),
            json!(flags.iter().any(|set| set == flag)),
        );
    }
    if !stream {
        shown.insert("http2".to_owned(), json!(listener.http2));
    }
    let backlog = flags.iter().find(|flag| flag.starts_with("backlog="));
    shown.insert(
        backlog.cloned().unwrap_or_else(|| "backlog=%d+".to_owned()),
        json!(backlog.is_some()),
    );
    let tuned = flags
        .iter()
        .find(|flag| flag.starts_with("so_keepalive=") && flag.contains(':'));
    shown.insert(
        tuned
            .cloned()
            .unwrap_or_else(|| "so_keepalive=%w*:%w*:%d*".to_owned()),
        json!(tuned.is_some()),
    );
    let address = match port {
        Some(port) => format!("{ip}:{port}"),
        None => ip.clone(),
    };
    let listed: Vec<&str> = std::iter::once(address.as_str())
        .chain(flags.iter().map(String::as_str))
        .collect();
    shown.insert("listener".to_owned(), json!(listed.join(" ")));
    shown.insert("ip".to_owned(), json!(ip));
    if let Some(port) = port {
        shown.insert("port".to_owned(), json!(port));
    }
    Json::Object(shown)
}

#[cfg(test)]
mod tests;
