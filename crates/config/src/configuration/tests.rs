use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::*;
use crate::{Sources, load};

/// What a Kong 3.9.1 showed that ran with the settings below.
const RECORDED: &str = include_str!("recorded.json");

fn settings() -> Settings {
    let given = [
        ("PREFIX", "/tmp/node"),
        ("ADMIN_LISTEN", "127.0.0.1:18001"),
        (
            "PROXY_LISTEN",
            "127.0.0.1:18000 reuseport backlog=16384, 127.0.0.1:18443 http2 ssl reuseport backlog=16384",
        ),
        ("STATUS_LISTEN", "127.0.0.1:18100"),
        ("ANONYMOUS_REPORTS", "off"),
        ("NGINX_WORKER_PROCESSES", "1"),
        ("PG_PORT", "15432"),
        ("DATABASE", "postgres"),
    ];
    let environment: BTreeMap<String, String> = given
        .into_iter()
        .map(|(name, value)| (format!("KONG_{name}"), value.to_owned()))
        .collect();
    let sources = Sources {
        file: Some(PathBuf::from("/dev/null")),
        environment,
        overrides: BTreeMap::new(),
    };
    load(&sources).expect("valid").settings
}

#[test]
fn looks_like_what_kong_shows() {
    let recorded: Map<String, Json> =
        serde_json::from_str(&RECORDED.replace("<prefix>", "/tmp/node")).expect("JSON");
    let shown = settings().configuration_json();
    // Lists of plugins come from the node, and the trusted certificates from the machine.
    let apart = [
        "loaded_plugins",
        "lua_ssl_trusted_certificate",
        "lua_package_path",
        "lua_package_cpath",
    ];
    let different: BTreeSet<&str> = recorded
        .iter()
        .filter(|(name, value)| !apart.contains(&name.as_str()) && shown.get(*name) != Some(value))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(different, BTreeSet::new());
}

#[test]
fn hides_secrets() {
    let mut sources = Sources {
        file: Some(PathBuf::from("/dev/null")),
        ..Sources::default()
    };
    sources
        .environment
        .insert("KONG_PG_PASSWORD".to_owned(), "hush".to_owned());
    sources
        .environment
        .insert("KONG_PREFIX".to_owned(), "/tmp/node".to_owned());
    let shown = load(&sources).expect("valid").settings.configuration_json();
    assert_eq!(shown.get("pg_password"), Some(&json!("******")));
}
