//! What commands print and how they exit.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::place::{Place, texts};

#[test]
fn every_bad_value_is_named_with_what_is_allowed() {
    let place = Place::new()
        .with("LOG_LEVEL", "loud")
        .with("TRUSTED_IPS", "here");
    let complaint = place.fail(&["start"]);
    assert!(
        complaint.contains("log_level has an invalid value: 'loud' (debug, info,"),
        "{complaint}"
    );
    assert!(complaint.contains("trusted_ips must be"), "{complaint}");
}

#[test]
fn unknown_and_useless_settings_are_warned_about_once_each() {
    let place = Place::new()
        .with("NO_SUCH", "1")
        .with("LUA_PACKAGE_PATH", "x")
        .with("WASM", "on");
    let output = place.run(&["check"]);
    assert!(output.status.success());
    let (_, warnings) = texts(&output);
    assert_eq!(warnings.lines().count(), 2, "{warnings}");
    assert!(
        warnings.contains("no_such") && warnings.contains("lua_package_path"),
        "{warnings}"
    );
}

#[test]
fn stores_that_are_not_built_are_refused_by_name() {
    let place = Place::new().with("DATABASE", "cassandra");
    for command in ["check", "start"] {
        let complaint = place.fail(&[command]);
        assert!(
            complaint.contains("Cassandra is not built yet"),
            "{complaint}"
        );
    }
}

#[test]
fn plugins_that_nobody_knows_are_refused_by_name() {
    let place = Place::new().with("PLUGINS", "bundled,key-auht");
    for command in ["check", "start"] {
        let complaint = place.fail(&[command]);
        assert!(complaint.contains("key-auht"), "{complaint}");
    }
}

#[test]
fn check_warns_of_what_this_machine_does_not_have() {
    let place = Place::new()
        .with(
            "PROXY_LISTEN",
            "192.0.2.1:8000, unix:/no/such/folder/socket",
        )
        .with("ADMIN_LISTEN", "127.0.0.1:8001")
        .with("STATUS_LISTEN", "127.0.0.1:8001")
        .with("PROXY_ACCESS_LOG", "/no/such/folder/access.log")
        .with("ADMIN_ACCESS_LOG", "logs/admin_access.log");
    let output = place.run(&["check"]);
    let (_, warnings) = texts(&output);
    assert!(output.status.success(), "{warnings}");
    for obstacle in [
        "proxy_listen: 192.0.2.1:8000: Cannot assign requested address",
        "proxy_listen: unix:/no/such/folder/socket: there is no folder /no/such/folder",
        "status_listen: 127.0.0.1:8001: admin_listen has it as well",
        "proxy_access_log: /no/such/folder/access.log: there is no folder /no/such/folder",
    ] {
        assert!(warnings.contains(obstacle), "{warnings}");
    }
    assert_eq!(warnings.lines().count(), 4, "{warnings}");
    assert!(!place.prefix().exists(), "a check changes nothing");
}

#[test]
fn a_key_of_another_certificate_is_refused_before_a_start() {
    let made = Place::new().with("PROXY_LISTEN", "127.0.0.1:0 ssl");
    made.succeed(&["prepare"]);
    let ssl = made.prefix().join("ssl");
    let name = |file: &str| ssl.join(file).display().to_string();
    let place = Place::new()
        .with("PROXY_LISTEN", "127.0.0.1:0 ssl")
        .with("SSL_CERT", &name("kong-default.crt"))
        .with("SSL_CERT_KEY", &name("kong-default-ecdsa.key"));
    for command in ["check", "start"] {
        let complaint = place.fail(&[command]);
        let reason = "the private key does not belong to the certificate";
        assert!(complaint.contains(reason), "{complaint}");
    }
}

#[test]
fn a_taken_port_is_named_with_its_setting() {
    let place = Place::new();
    let holder = std::net::TcpListener::bind(("127.0.0.1", place.proxy)).expect("bound");
    let complaint = place.fail(&["start"]);
    assert!(
        complaint.contains("proxy_listen") && complaint.contains(&place.proxy.to_string()),
        "{complaint}"
    );
    drop(holder);
}

#[test]
fn called_kong_it_speaks_as_kong() {
    let place = Place::new();
    let link = place.folder().join("kong");
    symlink(Path::new(env!("CARGO_BIN_EXE_silverback")), &link).expect("a link");
    let run =
        |arguments: &[&str]| texts(&place.program(&link, arguments).output().expect("it runs")).0;
    assert_eq!(run(&["version"]), "3.9.1\n");
    assert_eq!(run(&["start"]), "Kong started\n");
    assert!(run(&["health"]).contains("Kong is healthy at"));
    assert_eq!(run(&["stop"]), "Kong stopped\n");
}

#[test]
fn wrong_arguments_end_with_status_1_and_help_with_0() {
    let place = Place::new();
    place.fail(&["nonsense"]);
    place.fail(&["stop", "--nonsense"]);
    assert!(place.succeed(&["--help"]).contains("migrations"));
}

#[test]
fn migrations_say_that_there_is_nothing_to_do() {
    let place = Place::new();
    assert!(
        place
            .succeed(&["migrations", "bootstrap"])
            .contains("up-to-date")
    );
    assert!(place.succeed(&["migrations", "up"]).contains("up-to-date"));
    assert!(
        place
            .succeed(&["migrations", "finish"])
            .contains("No pending migrations")
    );
    assert!(
        place
            .succeed(&["migrations", "status"])
            .contains("\"strategy\":\"sqlite\"")
    );
    assert!(place.fail(&["migrations", "reset"]).contains("--yes"));
    place.succeed(&["migrations", "reset", "--yes"]);
    assert!(!place.prefix().join("silverback.db").exists());
}

#[test]
fn secrets_are_looked_up() {
    let place = Place::new();
    let mut command = place.command(&["vault", "get", "env/my-secret/key"]);
    let output = command
        .env("MY_SECRET", r#"{"key":"value"}"#)
        .output()
        .expect("it runs");
    assert_eq!(texts(&output).0, "value\n");
    assert!(
        place
            .fail(&["vault", "get", "env/absent-variable"])
            .contains("ABSENT_VARIABLE")
    );
    assert!(
        place
            .fail(&["vault", "get", "other/x"])
            .contains("vault not found")
    );
}

#[test]
fn certificates_for_hybrid_mode_are_made_but_never_over_others() {
    let place = Place::new();
    let (cert, key) = (place.folder().join("c.crt"), place.folder().join("c.key"));
    let arguments = [
        "hybrid",
        "gen_cert",
        cert.to_str().expect("text"),
        key.to_str().expect("text"),
    ];
    place.succeed(&arguments);
    assert!(
        std::fs::read_to_string(&cert)
            .expect("a file")
            .contains("BEGIN CERTIFICATE")
    );
    assert!(place.fail(&arguments).contains("already exists"));
    place.fail(&arguments[..3]);
}

#[test]
fn prepare_makes_the_folder_and_its_certificates() {
    let place = Place::new();
    let listen = format!("127.0.0.1:{} ssl", place.proxy);
    let prepared = place
        .command(&["prepare"])
        .env("KONG_PROXY_LISTEN", listen)
        .output();
    assert!(prepared.expect("it runs").status.success());
    assert!(place.prefix().join("ssl/kong-default.crt").exists());
    assert!(place.prefix().join("ssl/kong-default-ecdsa.key").exists());
}
