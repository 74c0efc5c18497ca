use super::*;

use std::time::Duration;

use crate::settings::StoreChoice;

fn sources(settings: &[(&str, &str)]) -> Sources {
    let mut environment: BTreeMap<String, String> = settings
        .iter()
        .map(|(name, value)| {
            (
                format!("KONG_{}", name.to_ascii_uppercase()),
                (*value).to_owned(),
            )
        })
        .collect();
    environment
        .entry("KONG_PREFIX".to_owned())
        .or_insert_with(|| "/tmp/node".to_owned());
    Sources {
        file: Some(PathBuf::from("/dev/null")),
        environment,
        overrides: BTreeMap::new(),
    }
}

fn load_with(settings: &[(&str, &str)]) -> Loaded {
    load(&sources(settings)).expect("valid")
}

fn problems(settings: &[(&str, &str)]) -> Vec<String> {
    match load(&sources(settings)) {
        Err(Error::Invalid(problems)) => problems
            .into_iter()
            .map(|problem| problem.message)
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_name_of_the_program_need_not_be_said_twice() {
    let variables = [
        "KONG_SILVERBACK_READINESS",
        "SILVERBACK_READINESS",
        "SILVERBACK_SILVERBACK_READINESS",
    ];
    for variable in variables {
        let mut sources = sources(&[]);
        sources
            .environment
            .insert(variable.to_owned(), "strict".to_owned());
        let loaded = load(&sources).expect("valid");
        assert!(loaded.settings.strict_readiness, "{variable}");
        assert_eq!(loaded.warnings, [], "{variable}");
    }
    assert!(!load_with(&[]).settings.strict_readiness);
}

#[test]
fn the_environment_wins_over_the_file_and_silverback_over_kong() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    std::io::Write::write_all(
        &mut file,
        b"log_level = debug\nerror_default_type = text/html\n",
    )
    .expect("written");
    let mut sources = sources(&[("log_level", "warn"), ("router_flavor", "traditional")]);
    sources.file = Some(file.path().to_owned());
    sources.environment.insert(
        "SILVERBACK_ROUTER_FLAVOR".to_owned(),
        "expressions".to_owned(),
    );
    let loaded = load(&sources).expect("valid");
    assert_eq!(loaded.settings.logs.level, "warn");
    assert_eq!(loaded.settings.error_default_type, "text/html");
    assert_eq!(loaded.settings.router_flavor, "expressions");
}

#[test]
fn a_file_that_is_named_must_exist() {
    let sources = Sources {
        file: Some(PathBuf::from("/nonexistent/kong.conf")),
        ..Sources::default()
    };
    assert!(matches!(load(&sources), Err(Error::ReadFile { .. })));
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let found = problems(&[
        ("log_level", "loud"),
        ("headers", "nonsense"),
        ("trusted_ips", "1.2.3.4,elsewhere"),
        ("proxy_listen", "here"),
        ("port_maps", "80"),
        ("upstream_keepalive_pool_size", "-1"),
        ("node_id", "me"),
    ]);
    assert_eq!(found.len(), 7, "{found:?}");
    assert!(
        found[0].starts_with("headers: invalid entry 'nonsense' (off, server_tokens,"),
        "{found:?}"
    );
}

#[test]
fn pages_of_the_manager_are_named_by_their_origins() {
    let loaded = load_with(&[(
        "admin_gui_url",
        "https://gui.test:8445/manager, http://127.0.0.1:8002",
    )]);
    assert_eq!(
        loaded.settings.admin_origins,
        ["https://gui.test:8445", "http://127.0.0.1:8002"]
    );
    assert!(loaded.warnings.is_empty());
    for url in ["gui.test", "ftp://gui.test", "https:///manager"] {
        assert!(problems(&[("admin_gui_url", url)])[0].contains(url));
    }
}

#[test]
fn unknown_names_share_one_warning_and_useless_ones_another() {
    let loaded = load_with(&[
        ("no_such", "1"),
        ("also_unknown", "2"),
        ("lua_package_path", "x"),
        ("wasm", "on"),
        ("admin_gui_listen", "off"),
        ("nginx_http_gzip", "on"),
    ]);
    let texts: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert_eq!(texts[0], "unknown settings, ignored: also_unknown, no_such");
    assert!(
        !texts[1].contains("admin_gui_listen"),
        "what holds anyway is no loss: {texts:?}"
    );
    for name in ["lua_package_path", "wasm", "nginx_http_gzip"] {
        assert!(texts[1].contains(name), "{texts:?}");
    }
}

#[test]
fn deprecated_names_still_count_for_their_replacement() {
    let loaded = load_with(&[("opentelemetry_tracing", "all")]);
    assert_eq!(
        loaded.settings.get("tracing_instrumentations"),
        Some(&Value::List(vec!["all".to_owned()]))
    );
    assert!(
        loaded
            .warnings
            .iter()
            .any(|warning| matches!(warning, Warning::Deprecated { .. }))
    );
}

#[test]
fn the_store_is_embedded_unless_settings_say_otherwise() {
    let chosen = |settings: &[(&str, &str)]| load_with(settings).settings.store;
    let embedded = StoreChoice::Sqlite {
        file: PathBuf::from("/tmp/node/silverback.db"),
        chosen: false,
    };
    assert_eq!(chosen(&[]), embedded);
    assert!(matches!(
        chosen(&[("pg_host", "db")]),
        StoreChoice::Postgres(postgres) if !postgres.chosen
    ));
    assert!(matches!(
        chosen(&[("database", "postgres")]),
        StoreChoice::Postgres(postgres) if postgres.chosen
    ));
    assert!(matches!(
        chosen(&[("database", "off"), ("pg_host", "db")]),
        StoreChoice::Declarative { .. }
    ));
    assert!(matches!(
        chosen(&[("database", "sqlite"), ("pg_host", "db")]),
        StoreChoice::Sqlite { chosen: true, .. }
    ));
}

#[test]
fn postgres_is_what_its_settings_say() {
    let StoreChoice::Postgres(postgres) = load_with(&[
        ("pg_host", "one, two:6000"),
        ("pg_port", "5433"),
        ("pg_user", "gateway"),
        ("pg_password", "secret"),
        ("pg_database", "config"),
        ("pg_schema", "live"),
        ("pg_ssl", "on"),
        ("pg_ssl_verify", "on"),
        ("pg_timeout", "700"),
        ("pg_pool_size", "3"),
        ("pg_max_concurrent_queries", "2"),
        ("pg_semaphore_timeout", "900"),
        ("pg_keepalive_timeout", "0"),
    ])
    .settings
    .store
    else {
        panic!("a pg_ setting implies PostgreSQL");
    };
    assert_eq!(postgres.place(), "one:5433,two:6000/config");
    assert_eq!(postgres.user, "gateway");
    assert_eq!(postgres.password.expose(), "secret");
    assert_eq!(postgres.schema.as_deref(), Some("live"));
    assert!(postgres.ssl && postgres.ssl_verify);
    assert_eq!(postgres.timeout, Duration::from_millis(700));
    assert_eq!(postgres.pool_size, 3);
    assert_eq!(postgres.max_concurrent_queries, 2);
    assert_eq!(postgres.semaphore_timeout, Duration::from_millis(900));
    assert_eq!(postgres.keepalive, Duration::MAX);
    assert_eq!(postgres.reader, None);
}

#[test]
fn settings_of_a_database_that_is_not_chosen_are_named() {
    let loaded = load_with(&[("database", "off"), ("pg_host", "db")]);
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert!(
        warnings.iter().any(|warning| warning.contains("pg_host")),
        "{warnings:?}"
    );
    assert_eq!(load_with(&[("pg_host", "db")]).warnings, []);
    let named = load_with(&[("pg_backlog", "7")]).warnings;
    assert!(named[0].to_string().contains("pg_backlog"), "{named:?}");
}

#[test]
fn a_server_to_read_from_is_like_the_other_but_for_what_is_said() {
    let StoreChoice::Postgres(postgres) = load_with(&[
        ("pg_host", "primary"),
        ("pg_password", "secret"),
        ("pg_pool_size", "3"),
        ("pg_ro_host", "reader"),
        ("pg_ro_port", "6000"),
        ("pg_ro_user", "guest"),
    ])
    .settings
    .store
    else {
        panic!("a pg_ setting implies PostgreSQL");
    };
    let reader = postgres.reader.as_ref().expect("it is set");
    assert_eq!(reader.place(), "reader:6000/kong");
    assert_eq!(reader.user, "guest");
    assert_eq!(reader.password.expose(), "secret");
    assert_eq!(reader.pool_size, 3);
    assert_eq!(postgres.place(), "primary:5432/kong");
    assert_eq!(postgres.user, "kong");
}

#[test]
fn references_are_replaced_in_texts_and_lists() {
    let mut sources = sources(&[
        ("trusted_ips", "{vault://env/first},10.0.0.0/8"),
        ("log_level", "{vault://env/level}"),
    ]);
    sources
        .environment
        .insert("FIRST".to_owned(), "1.1.1.1".to_owned());
    sources
        .environment
        .insert("LEVEL".to_owned(), "error".to_owned());
    let settings = load(&sources).expect("valid").settings;
    assert_eq!(settings.trusted_ips.len(), 2);
    assert_eq!(settings.logs.level, "error");
    assert!(problems(&[("log_level", "{vault://env/absent_here}")])[0].contains("ABSENT_HERE"));
}

#[test]
fn what_came_through_a_reference_is_not_shown() {
    let mut sources = sources(&[
        ("error_default_type", "{vault://env/kind}"),
        ("nginx_http_charset", "{vault://env/secret}"),
    ]);
    sources
        .environment
        .insert("KIND".to_owned(), "text/html".to_owned());
    sources
        .environment
        .insert("SECRET".to_owned(), "hush".to_owned());
    let settings = load(&sources).expect("valid").settings;
    assert_eq!(settings.error_default_type, "text/html");
    assert_eq!(settings.charset.as_deref(), Some("hush"));
    let shown = settings.configuration_json();
    assert_eq!(shown["error_default_type"], "{vault://env/kind}");
    assert!(
        !serde_json::Value::Object(shown)
            .to_string()
            .contains("hush")
    );
    assert!(
        !settings.record().contains("hush") && settings.record().contains("{vault://env/kind}")
    );
}

#[test]
fn references_need_a_vault_that_is_allowed() {
    let found = problems(&[("vaults", "off"), ("log_level", "{vault://env/level}")]);
    assert!(found[0].contains("leaves out env"), "{found:?}");
}

#[test]
fn limits_and_names_come_out_typed() {
    let settings = load_with(&[
        ("nginx_http_large_client_header_buffers", "8 16k"),
        ("nginx_http_client_max_body_size", "1m"),
        ("port_maps", "80:8000, 443:8443"),
        ("real_ip_header", "X-Forwarded-For"),
        ("nginx_worker_processes", "2"),
        ("dns_resolver", "127.0.0.1:5353, ::1"),
        ("headers", "off"),
        ("headers_upstream", "off"),
    ])
    .settings;
    assert_eq!(
        (settings.limits.header_line, settings.limits.head),
        (16 << 10, 128 << 10)
    );
    assert_eq!(settings.limits.body, 1 << 20);
    assert_eq!(settings.port_maps.get(&8443), Some(&443));
    assert_eq!(settings.real_ip.header, "x-forwarded-for");
    assert_eq!(settings.workers, Some(2));
    assert_eq!(settings.dns.servers.len(), 2);
    assert_eq!(settings.headers, crate::ResponseHeaders::default());
    assert!(!settings.headers_upstream_request_id);
}

#[test]
fn a_cipher_suite_decides_versions_and_ciphers() {
    let modern = load_with(&[("ssl_cipher_suite", "modern")]).settings.tls;
    assert_eq!(
        (modern.cipher_suite.as_str(), modern.ciphers.as_str()),
        ("modern", "")
    );
    assert_eq!(modern.protocols, ["TLSv1.3"]);
    let custom = load_with(&[
        ("ssl_cipher_suite", "custom"),
        ("ssl_ciphers", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("ssl_protocols", "TLSv1.2"),
    ])
    .settings
    .tls;
    assert_eq!(custom.protocols, ["TLSv1.2"]);
    assert_eq!(custom.ciphers, "ECDHE-RSA-AES128-GCM-SHA256");
    let none = problems(&[("ssl_cipher_suite", "custom"), ("ssl_protocols", "SSLv3")]);
    assert!(none[0].contains("TLSv1.2, TLSv1.3"), "{none:?}");
}

#[test]
fn certificates_come_in_pairs_and_keys_are_not_repeated() {
    let found = problems(&[("ssl_cert", "-----BEGIN CERTIFICATE-----")]);
    assert_eq!(found, ["ssl_cert_key must be specified"]);
    let found = problems(&[
        ("ssl_cert", "-----BEGIN X-----"),
        ("ssl_cert_key", "verysecret"),
    ]);
    assert!(
        found.iter().all(|message| !message.contains("verysecret")),
        "{found:?}"
    );
}

#[test]
fn the_record_of_settings_can_be_read_back_and_has_no_secrets() {
    let loaded = load_with(&[
        ("ssl_cert", "-----BEGIN CERTIFICATE-----"),
        ("ssl_cert_key", "-----BEGIN PRIVATE KEY-----"),
        ("pg_password", "secret"),
        ("database", "sqlite"),
        ("headers", "off"),
    ]);
    let record = loaded.settings.record();
    assert!(
        !record.contains("secret") && !record.contains("BEGIN"),
        "{record}"
    );
    let parsed = file::parse(Path::new("record"), &record).expect("valid");
    assert!(parsed.contains(&("headers".to_owned(), "off".to_owned())));
}
