//! What one value demands of another, and values that others imply.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::pem::PemSource;
use crate::value::Value;
use crate::{Problem, listen};

type Values = BTreeMap<String, Value>;

/// What a predefined suite lays down.
pub(crate) struct Suite {
    pub name: &'static str,
    pub protocols: &'static str,
    pub ciphers: &'static str,
    pub prefer_server_ciphers: &'static str,
    pub dhparam: &'static str,
}

/// Mozilla's recommendations for server-side TLS, version 5.7, under the names that Kong gives them.
pub(crate) const SUITES: [Suite; 4] = [
    Suite {
        name: "modern",
        protocols: "TLSv1.3",
        ciphers: "",
        prefer_server_ciphers: "off",
        dhparam: "",
    },
    Suite {
        name: "intermediate",
        protocols: "TLSv1.2 TLSv1.3",
        ciphers: INTERMEDIATE,
        prefer_server_ciphers: "off",
        dhparam: "ffdhe2048",
    },
    Suite {
        name: "old",
        protocols: "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3",
        ciphers: INTERMEDIATE,
        prefer_server_ciphers: "on",
        dhparam: "",
    },
    Suite {
        name: "fips",
        protocols: "TLSv1.2",
        ciphers: "TLSv1.2+FIPS:kRSA+FIPS:!eNULL:!aNULL",
        prefer_server_ciphers: "on",
        dhparam: "",
    },
];

const INTERMEDIATE: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
    ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:\
    ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305";

/// Fills in what other values imply: the cipher suite's parts, the store, and read-only connection settings.
pub(crate) fn derive(values: &mut Values, explicit: &BTreeSet<String>) {
    let suite = values
        .get("ssl_cipher_suite")
        .and_then(Value::text)
        .unwrap_or_default()
        .to_owned();
    if let Some(suite) = SUITES.iter().find(|known| known.name == suite) {
        set(values, "ssl_ciphers", suite.ciphers);
        for block in ["http", "stream"] {
            set(
                values,
                &format!("nginx_{block}_ssl_protocols"),
                suite.protocols,
            );
            set(
                values,
                &format!("nginx_{block}_ssl_prefer_server_ciphers"),
                suite.prefer_server_ciphers,
            );
            if suite.name != "old" {
                set(values, &format!("nginx_{block}_ssl_dhparam"), suite.dhparam);
            }
        }
        if suite.name != "old" {
            set(values, "ssl_dhparam", suite.dhparam);
        }
    }
    for name in [
        "ssl_protocols",
        "ssl_prefer_server_ciphers",
        "ssl_session_tickets",
        "ssl_session_timeout",
    ] {
        feed_default(values, name);
    }
    feed_default(values, "lua_ssl_protocols");
    if !values.contains_key("database") {
        let postgres = explicit.iter().any(|name| name.starts_with("pg_"));
        set(
            values,
            "database",
            if postgres { "postgres" } else { "sqlite" },
        );
    }
    if values.contains_key("pg_ro_host") {
        derive_read_only(values);
    }
}

fn derive_read_only(values: &mut Values) {
    let reads: Vec<String> = values
        .keys()
        .filter_map(|name| name.strip_prefix("pg_"))
        .filter(|name| !name.starts_with("ro_") && *name != "host")
        .map(str::to_owned)
        .collect();
    for name in reads {
        let read_only = format!("pg_ro_{name}");
        if let (false, Some(value)) = (
            values.contains_key(&read_only),
            values.get(&format!("pg_{name}")).cloned(),
        ) {
            values.insert(read_only, value);
        }
    }
}

fn feed_default(values: &mut Values, name: &str) {
    let (Some(setting), Some(value)) = (crate::find(name), values.get(name).cloned()) else {
        return;
    };
    for target in setting.feeds {
        values
            .entry((*target).to_owned())
            .or_insert_with(|| value.clone());
    }
}

fn set(values: &mut Values, name: &str, text: &str) {
    if text.is_empty() {
        values.remove(name);
    } else {
        values.insert(name.to_owned(), Value::Text(text.to_owned()));
    }
}

/// Looks for what cannot work and reports all of it.
pub(crate) fn check(values: &Values, problems: &mut Vec<Problem>) {
    check_roles(values, problems);
    check_certificates(values, problems);
    check_files(values, problems);
    check_gui_path(values, problems);
    if let Some(node_id) = text(values, "node_id")
        && uuid::Uuid::try_parse(node_id).is_err()
    {
        problems.push(Problem::new(
            "node_id",
            format!("node_id must be a valid UUID, got '{node_id}'"),
        ));
    }
    for name in ["stream_listen", "admin_gui_listen", "cluster_listen"] {
        // The listeners in use are parsed where they are given out.
        if let Err(message) = listen::parse(list(values, name), name == "stream_listen") {
            problems.push(Problem::new(name, format!("{name} {message}")));
        }
    }
    let workers = text(values, "nginx_main_worker_processes").unwrap_or("auto");
    if workers != "auto"
        && !workers
            .parse::<usize>()
            .is_ok_and(|n| (1..=1024).contains(&n))
    {
        let message = format!(
            "nginx_worker_processes must be auto or a number between 1 and 1024, got '{workers}'"
        );
        problems.push(Problem::new("nginx_worker_processes", message));
    }
    let files = text(values, "nginx_main_worker_rlimit_nofile").unwrap_or("auto");
    if files != "auto" && files.parse::<u64>().is_err() {
        let message =
            format!("nginx_main_worker_rlimit_nofile must be auto or a number, got '{files}'");
        problems.push(Problem::new("nginx_main_worker_rlimit_nofile", message));
    }
    for instrumentation in list(values, "tracing_instrumentations") {
        if instrumentation == "off" && list(values, "tracing_instrumentations").len() > 1 {
            let message = "tracing_instrumentations: off and other types are mutually exclusive";
            problems.push(Problem::new("tracing_instrumentations", message));
        }
    }
}

fn check_roles(values: &Values, problems: &mut Vec<Problem>) {
    let role = text(values, "role").unwrap_or("traditional");
    if role != "traditional" {
        let message = format!(
            "role = {role} is not possible: there is no hybrid mode, every node is control plane and data plane (traditional)"
        );
        problems.push(Problem::new("role", message));
    }
    if !list(values, "cluster_dp_labels").is_empty() {
        let message = "cluster_dp_labels can only be used when role = \"data_plane\"";
        problems.push(Problem::new("cluster_dp_labels", message));
    }
}

fn check_certificates(values: &Values, problems: &mut Vec<Problem>) {
    for prefix in ["", "admin_", "status_"] {
        let (cert, key) = (format!("{prefix}ssl_cert"), format!("{prefix}ssl_cert_key"));
        let (certs, keys) = (list(values, &cert), list(values, &key));
        if certs.len() != keys.len() {
            let (missing, message) = match (certs.len(), keys.len()) {
                (_, 0) => (&key, format!("{key} must be specified")),
                (0, _) => (&cert, format!("{cert} must be specified")),
                (certs, keys) => (
                    &cert,
                    format!(
                        "{cert} was specified {certs} times while {key} was specified {keys} times"
                    ),
                ),
            };
            problems.push(Problem::new(missing, message));
        }
        check_pem(&cert, "certificate", certs, problems);
        check_pem(&key, "key", keys, problems);
    }
    let cert = text(values, "client_ssl_cert");
    let key = text(values, "client_ssl_cert_key");
    if values.get("client_ssl") == Some(&Value::Bool(true)) {
        if cert.is_some() && key.is_none() {
            problems.push(Problem::new(
                "client_ssl_cert_key",
                "client_ssl_cert_key must be specified",
            ));
        }
        if key.is_some() && cert.is_none() {
            problems.push(Problem::new(
                "client_ssl_cert",
                "client_ssl_cert must be specified",
            ));
        }
        check_pem("client_ssl_cert", "certificate", cert, problems);
        check_pem("client_ssl_cert_key", "key", key, problems);
    }
    let roots = list(values, "lua_ssl_trusted_certificate")
        .iter()
        .filter(|item| *item != "system");
    check_pem(
        "lua_ssl_trusted_certificate",
        "certificate",
        roots,
        problems,
    );
}

fn check_pem<T: AsRef<str>>(
    name: &str,
    what: &str,
    items: impl IntoIterator<Item = T>,
    problems: &mut Vec<Problem>,
) {
    for item in items {
        let item = item.as_ref();
        if PemSource::parse(item).is_none() {
            // A key must not reach a log, so only what looks like a path is repeated.
            let shown = if item.len() < 256 && item.contains('/') {
                item
            } else {
                "its value"
            };
            let message = format!(
                "{name}: failed loading {what} from {shown} (a file that exists, PEM text, or PEM text in base64)"
            );
            problems.push(Problem::new(name, message));
        }
    }
}

fn check_files(values: &Values, problems: &mut Vec<Problem>) {
    for name in ["dns_hostsfile", "resolver_hosts_file"] {
        if let Some(path) = text(values, name)
            && !Path::new(path).is_file()
        {
            problems.push(Problem::new(
                name,
                format!("{name}: file does not exist: '{path}'"),
            ));
        }
    }
    let from_file = text(values, "database") == Some("off");
    if let Some(path) = text(values, "declarative_config")
        && from_file
        && !Path::new(path).is_file()
    {
        let message = format!("declarative_config: file does not exist: '{path}'");
        problems.push(Problem::new("declarative_config", message));
    }
}

fn check_gui_path(values: &Values, problems: &mut Vec<Problem>) {
    let Some(path) = text(values, "admin_gui_path") else {
        return;
    };
    let mut refuse = |why: &str| {
        problems.push(Problem::new(
            "admin_gui_path",
            format!("admin_gui_path {why}"),
        ))
    };
    if !path.starts_with('/') {
        refuse("must start with a slash ('/')");
    }
    if path.len() > 1 && path.ends_with('/') {
        refuse("must not end with a slash ('/')");
    }
    if !path
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_/".contains(&b))
    {
        refuse(
            "can only contain letters, digits, hyphens ('-'), underscores ('_'), and slashes ('/')",
        );
    }
    if path.contains("//") {
        refuse("must not contain continuous slashes ('/')");
    }
}

pub(crate) fn text<'a>(values: &'a Values, name: &str) -> Option<&'a str> {
    values.get(name).and_then(Value::text)
}

pub(crate) fn list<'a>(values: &'a Values, name: &str) -> &'a [String] {
    match values.get(name) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}
