//! Starts that cannot succeed: the words say what, where and which value, and the exit status is not 0.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use testing::{Backend, Place, Signal};

#[track_caller]
fn assert_refused(place: &Place, named: &[&str]) {
    let (status, words) = place.fail(&["run"]);
    assert_eq!(status, 1, "{words}");
    for name in named {
        assert!(words.contains(name), "{name} is not in: {words}");
    }
    assert!(!words.contains("panicked"), "{words}");
    for line in words.lines().filter(|line| line.starts_with("Error: ")) {
        let mut parts: Vec<&str> = line.split(": ").skip(1).collect();
        let said = parts.len();
        parts.sort_unstable();
        parts.dedup();
        assert_eq!(parts.len(), said, "something is said twice: {line}");
    }
}

#[test]
fn a_port_in_use_is_named_with_its_setting() {
    for setting in ["PROXY_LISTEN", "ADMIN_LISTEN", "STATUS_LISTEN"] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let place = Place::new().with(setting, &address);
        assert_refused(&place, &[&setting.to_lowercase(), &address, "in use"]);
    }
}

#[test]
fn two_nodes_do_not_share_a_port_by_accident() {
    let first = Place::new();
    let node = first.start();
    for (setting, port) in [
        ("PROXY_LISTEN", first.proxy),
        ("ADMIN_LISTEN", first.admin),
        ("STATUS_LISTEN", first.status),
    ] {
        let address = format!("127.0.0.1:{port}");
        let second = Place::new().with(setting, &address);
        assert_refused(&second, &[&setting.to_lowercase(), &address]);
    }
    assert_eq!(node.get("/none").status, 404);
}

#[test]
fn a_bad_value_is_named_with_its_setting() {
    for (setting, value) in [
        ("LOG_LEVEL", "shouting"),
        ("DATABASE", "mongodb"),
        ("PROXY_LISTEN", "127.0.0.1:99999"),
        ("PROXY_LISTEN", "127.0.0.1:80 quickly"),
        ("ADMIN_LISTEN", "nowhere"),
        ("TRUSTED_IPS", "300.1.2.3"),
        ("HEADERS", "X-Nonsense"),
        ("UPSTREAM_KEEPALIVE_POOL_SIZE", "many"),
        ("NGINX_WORKER_PROCESSES", "-3"),
        ("ROUTER_FLAVOR", "random"),
        ("NGINX_HTTP_CLIENT_MAX_BODY_SIZE", "huge"),
        ("NGINX_HTTP_CLIENT_HEADER_TIMEOUT", "soon"),
        ("SSL_CIPHER_SUITE", "weak"),
        ("REAL_IP_RECURSIVE", "perhaps"),
        ("DNS_STALE_TTL", "never"),
        ("PORT_MAPS", "80"),
        ("ERROR_DEFAULT_TYPE", "text/poem"),
    ] {
        let place = Place::new().with(setting, value);
        assert_refused(&place, &[&setting.to_lowercase(), value]);
    }
}

#[test]
fn a_file_that_is_missing_or_broken_is_named() {
    for setting in [
        "SSL_CERT",
        "CLIENT_SSL_CERT",
        "LUA_SSL_TRUSTED_CERTIFICATE",
        "ERROR_TEMPLATE_HTML",
    ] {
        let place = Place::new()
            .with(setting, "/nowhere/file.pem")
            .with("SSL_CERT_KEY", "/nowhere/key.pem")
            .with("CLIENT_SSL_CERT_KEY", "/nowhere/key.pem");
        assert_refused(&place, &["/nowhere/"]);
    }
    let place = Place::new();
    let broken = place.write("broken.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n");
    place.set("SSL_CERT", &broken);
    place.set("SSL_CERT_KEY", &broken);
    assert_refused(&place, &["ssl_cert", "broken.pem"]);
    let place = Place::new();
    let broken = place.write("broken.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n");
    place.set("LUA_SSL_TRUSTED_CERTIFICATE", &broken);
    assert_refused(&place, &["lua_ssl_trusted_certificate", "broken.pem"]);
    let place = Place::new();
    let broken = place.write("broken.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n");
    place.set("CLIENT_SSL", "on");
    place.set("CLIENT_SSL_CERT", &broken);
    place.set("CLIENT_SSL_CERT_KEY", &broken);
    assert_refused(&place, &["client_ssl_cert", "broken.pem"]);
    let place = Place::new();
    let (status, words) = place.fail(&["run", "-c", "/nowhere/kong.conf"]);
    assert_eq!(status, 1);
    assert!(words.contains("/nowhere/kong.conf"), "{words}");
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let place = Place::new();
    let file = place.write("file", "");
    for prefix in [format!("{file}/prefix"), file, "/proc/prefix".to_owned()] {
        place.set("PREFIX", &prefix);
        assert_refused(&place, &[&prefix]);
    }
}

#[test]
fn a_store_that_is_not_one_is_refused_and_left_alone() {
    let place = Place::new();
    let node = place.start();
    node.signal(Signal::SIGTERM);
    assert!(node.wait().success());
    let file = place.prefix().join("silverback.db");
    assert!(file.exists());
    // SQLite would restore the file from its log.
    for log in ["silverback.db-wal", "silverback.db-shm"] {
        let _ = std::fs::remove_file(place.prefix().join(log));
    }
    for text in ["this is no database".repeat(100), "x".repeat(5000)] {
        std::fs::write(&file, &text).unwrap();
        assert_refused(&place, &["silverback.db"]);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}

#[test]
fn a_store_that_cannot_be_written_says_so_and_the_traffic_goes_on() {
    let backend = Backend::saying("here");
    let place = Place::new();
    // The system's signal about the limit below would end the process; a full disk sends none.
    let mut node = place.start_through("trap '' XFSZ; exec \"$@\"");
    node.add_route("/r", &backend.url(), &Value::Null);
    // No file of this process may grow from here on, as on a full disk.
    let limited = std::process::Command::new("prlimit")
        .args(["--pid", &node.pid().to_string(), "--fsize=1:"])
        .status();
    assert!(limited.unwrap().success());
    for number in 0..5 {
        let answer = node.admin(
            "POST",
            "/services",
            &serde_json::json!({ "name": format!("s{number}"), "url": backend.url() }),
        );
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.header("retry-after").is_some());
        node.assert_serves("/r");
    }
    let free = std::process::Command::new("prlimit")
        .args(["--pid", &node.pid().to_string(), "--fsize=unlimited:"])
        .status();
    assert!(free.unwrap().success());
    node.add_route("/later", &backend.url(), &Value::Null);
    node.assert_serves("/later");
    node.crash();
    let mut node = place.start();
    node.assert_serves("/later");
}

#[test]
fn a_node_is_found_whose_pid_file_had_no_room() {
    let place = Place::new();
    let node = place.start();
    // As a full disk leaves it.
    let file = std::fs::File::create(place.prefix().join("pids/nginx.pid"));
    assert_eq!(file.unwrap().metadata().unwrap().len(), 0);
    place.succeed(&["health"]);
    let (_, words) = place.fail(&["run"]);
    assert!(words.contains("already running"), "{words}");
    place.succeed(&["stop"]);
    assert!(node.wait().success());
}

#[test]
fn secrets_are_not_open_to_others() {
    let place = Place::new();
    let _node = place.start();
    for name in ["silverback.db", "ssl", ".kong_env"] {
        let path = place.prefix().join(name);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
    }
}
